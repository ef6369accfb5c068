//! generate: a source of requests.
//!
//! Makes one row for each combination of a number, lists of values and address templates, or for
//! each line of a file. Lazy: it holds a position and nothing else, so that a billion requests take
//! no more memory than one batch of them.

mod lines;
mod options;
mod product;
mod program;
mod rows;
mod share;
mod spec;
mod template;
mod urlfile;
mod values;

pub use spec::Generate;

use gristmill_stage::Registry;

gristmill_abi::export_stages!(Generate);

/// Makes the kind `generate` known.
pub fn register(registry: &mut Registry) {
    registry.add(Generate);
}
