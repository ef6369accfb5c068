//! `filter`, `map`, `route` and `aggregate`: stages that work by SQL expressions.
//!
//! Expressions are parsed, checked and typed when a pipeline is checked, and compiled once per
//! worker; a batch meets only compiled code. Column names are case-sensitive, as the schema has
//! them; function names are not. Strings stand in single quotes; names that are no plain words
//! stand in double quotes; a field of a struct is `a.b` or `a['b']`.
//!
//! These rules hold everywhere in this crate:
//! - A row on which an expression fails (a cast that does not work, an integer divided by zero or out
//!   of range) is rejected with the reason; the other rows of its batch go on. What fails on every row
//!   is an error of the pipeline.
//! - Fractions are those of IEEE 754: divided by zero they are infinite or NaN. An element that an
//!   array does not have is null.
//! - `now()` and `current_date` are the time at which the worker was built.

mod aggregate;
mod capped;
mod checked;
mod columns;
mod evaluate;
mod expression;
mod facts;
mod filter;
mod functions;
mod map;
mod options;
mod reference;
mod route;
mod syntax;
mod total;
mod trial;
mod wording;

use gristmill_stage::Registry;

pub use aggregate::{Aggregate, AggregateOptions, Late, WindowOptions};
pub use filter::{Filter, FilterOptions};
pub use map::{Map, MapOptions};
pub use options::{Expression, GroupBy, Named, Select};
pub use reference::{Family, Function, functions, nearest_function};
pub use route::{Route, RouteOptions};

gristmill_abi::export_stages!(Filter, Map, Route, Aggregate);

/// Adds the kinds of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(Filter).add(Map).add(Route).add(Aggregate);
}
