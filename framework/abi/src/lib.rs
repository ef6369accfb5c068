//! The contract of a stage as C tables, for plugins that are loaded at run time.
//!
//! A plugin in Rust implements [`StageSpec`](gristmill_stage::StageSpec) as a built-in kind does, and
//! names its kinds once:
//!
//! ```
//! # mod kinds {
//! # use gristmill_stage::arrow_schema::SchemaRef;
//! # use gristmill_stage::*;
//! # #[derive(serde::Deserialize, schemars::JsonSchema)]
//! # pub struct Options {}
//! # pub struct Clean;
//! # impl StageSpec for Clean {
//! #     type Options = Options;
//! #     const KIND: &'static str = "clean";
//! #     const SUMMARY: &'static str = "Does nothing.";
//! #     const ROLE: Role = Role::Sink;
//! #     const EXAMPLE: &'static str = "type: clean";
//! #     const INPUT: &'static str = "any";
//! #     const OUTPUT: &'static str = "none";
//! #     fn plan(_: &Options, _: Option<&SchemaRef>) -> Result<Planned> { Ok(Planned::sink()) }
//! #     fn build(_: Options, _: BuildContext) -> Result<Stage> { Err(Error::internal("no")) }
//! # }
//! # }
//! # use kinds::Clean;
//! gristmill_abi::export_stages!(Clean);
//! # fn main() {}
//! ```
//!
//! With `crate-type = ["lib", "cdylib"]` the same crate is a library for static use and one that
//! `gristmill` loads. A plugin in another language includes `gristmill.h` ([`HEADER`]), which has the
//! same tables with all that is to be known about them.
//!
//! What crosses: batches as `ArrowArray` alone, their schema once when a stage is opened; texts as
//! pointer and length; everything that is not on the way of a row (plans, options) as JSON. Each
//! allocation is freed by who made it. No panic crosses. Nothing async crosses either: a plugin wakes
//! its stage through [`Host`], and brings a runtime of its own (feature `async`).
//!
//! # What is promised
//!
//! A table is only ever added to at its end, and [`MINOR`] grows then: a plugin built for an earlier
//! minor loads, and one built for a later minor loads as well and does without what it does not get.
//! Each side reads as much of the other's table as both know ([`read_table`]), and never asks for more
//! than version 1.0 had ([`Grows::FIRST`]). What stands within others or in lists cannot grow: [`Text`],
//! [`Buffer`], [`Writer`], [`Next`] and [`Part`] stay as they are, as do Arrow's two. A change of any
//! other sort is another [`MAJOR`], and is refused by name.

mod batch;
mod check;
mod details;
mod failure;
mod grown;
mod numbers;
mod plain;
mod plugin;
mod rows;
mod snapshot;
mod tables;
mod text;

pub use batch::{
    check_rows, export_batch, export_schema, import_any_schema, import_batch, import_schema,
};
pub use details::Details;
pub use failure::{FailureBuffer, kind_of, number_of};
pub use grown::{Grows, read_table};
pub use plain::{plain_batch, plain_schema};
pub use snapshot::{export_snapshot, import_parts, value_of, value_state};
pub use tables::*;

/// The C header of the tables.
pub const HEADER: &str = include_str!("../include/gristmill.h");

/// What [`export_stages!`] is made of.
#[doc(hidden)]
pub mod private {
    pub use crate::plugin::{kind, table};
}

/// Makes the crate a plugin with these kinds: types that implement
/// [`StageSpec`](gristmill_stage::StageSpec).
///
/// The library gets one function, `gristmill_plugin_` and the name of the crate, so that several
/// plugins can also be linked into one program.
#[macro_export]
macro_rules! export_stages {
    ($($spec:ty),+ $(,)?) => {
        const _: () = {
            static KINDS: &[&$crate::Kind] = &[$(&$crate::private::kind::<$spec>()),+];
            static PLUGIN: $crate::Plugin = $crate::private::table(
                KINDS,
                concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            );

            #[unsafe(export_name = concat!("gristmill_plugin_", env!("CARGO_CRATE_NAME")))]
            extern "C" fn plugin() -> *const $crate::Plugin {
                &PLUGIN
            }
        };
    };
}
