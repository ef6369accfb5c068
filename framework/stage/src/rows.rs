//! Typed rows: a serde struct in, serde structs out. The second height to write a stage at.
//!
//! Between stages there are columns; here they are turned into rows and back, a batch at a time.
//! That costs some speed against working on columns and saves a lot of code. The rest of the
//! contract is kept for the author: batches of the right size, holding back what is too much,
//! snapshots of what is held, and rejecting single rows.
//!
//! * [`map`] and [`flat_map`] make a stage of a closure,
//! * [`stage`] makes one of a [`RowTransform`], which may keep state,
//! * [`source`] makes a source of an iterator,
//! * [`schema_of`] and [`expect`] are for [`plan`](crate::StageSpec::plan).
//!
//! A whole kind of stage:
//!
//! ```
//! use gristmill_stage::arrow_schema::SchemaRef;
//! use gristmill_stage::{BuildContext, Error, Planned, Registry, Result, Role, Stage, StageSpec, rows};
//! use gristmill_stage::{schemars, serde::{Deserialize, Serialize}};
//!
//! #[derive(Deserialize, schemars::JsonSchema)]
//! #[serde(crate = "gristmill_stage::serde", deny_unknown_fields)]
//! struct Options { rate: f64 }
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "gristmill_stage::serde")]
//! struct Item { title: String, price: f64 }
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(crate = "gristmill_stage::serde")]
//! struct Priced { title: String, euros: f64 }
//!
//! struct Convert;
//!
//! impl StageSpec for Convert {
//!     type Options = Options;
//!     const KIND: &'static str = "convert";
//!     const SUMMARY: &'static str = "turns prices into euros";
//!     const ROLE: Role = Role::Transform;
//!     const EXAMPLE: &'static str = "type: convert\nwith: { rate: 0.92 }";
//!     const INPUT: &'static str = "`title` (string), `price` (float64)";
//!     const OUTPUT: &'static str = "`title` (string), `euros` (float64)";
//!
//!     fn plan(_: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
//!         rows::expect::<Item>(input)?;
//!         Ok(Planned::emits(rows::schema_of::<Priced>()?))
//!     }
//!
//!     fn build(options: Options, context: BuildContext) -> Result<Stage> {
//!         rows::map(context, move |item: Item| {
//!             if item.price < 0.0 {
//!                 return Err(Error::data("the price is below zero")); // rejects this row
//!             }
//!             Ok(Priced { title: item.title, euros: item.price * options.rate })
//!         })
//!     }
//! }
//!
//! Registry::new().add(Convert);
//! ```

mod convert;
mod cut;
mod source;
mod transform;

pub use convert::{expect, from_batch, schema_of, to_batch};
pub use cut::Rows;
pub use source::source;
pub use transform::{RowTransform, flat_map, map, stage};

#[cfg(test)]
mod tests;
