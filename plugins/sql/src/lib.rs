//! `filter`, `map`, `route` and `aggregate`: stages that work by SQL expressions.
//!
//! Expressions are parsed, checked and typed when a pipeline is checked, and compiled once per
//! worker; a batch meets only compiled code. Column names are case-sensitive, as the schema has
//! them; function names are not. Strings stand in single quotes; names that are no plain words
//! stand in double quotes; a field of a struct is `a.b` or `a['b']`.
//!
//! Three rules hold everywhere in this crate:
//! - A row on which an expression fails (a cast that does not work, an integer divided by zero) is
//!   rejected with the reason; the other rows of its batch go on.
//! - Integer arithmetic wraps around on overflow, as it does in DataFusion.
//! - `now()` and `current_date` are the time at which the worker was built.

mod aggregate;
mod columns;
mod evaluate;
mod expression;
mod facts;
mod filter;
mod functions;
mod map;
mod options;
mod route;
mod reference;
mod syntax;
mod total;
mod trial;
mod wording;

use gristmill_stage::Registry;

pub use aggregate::{Aggregate, AggregateOptions};
pub use filter::{Filter, FilterOptions};
pub use map::{Map, MapOptions};
pub use options::{Expression, GroupBy, Named, Select};
pub use route::{Route, RouteOptions};
pub use reference::{Family, Function, functions, nearest_function};

/// Adds the kinds of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(Filter).add(Map).add(Route).add(Aggregate);
}
