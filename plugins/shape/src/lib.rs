//! `limit`, `sample`, `dedupe`, `unnest`, `sort` and `top`: which rows go on, and in what order.

mod best;
mod bloom;
mod dedupe;
mod exact;
mod items;
mod kept;
mod keys;
mod limit;
mod merge;
mod order;
mod ordered;
mod pile;
mod plain;
mod sample;
mod sort;
mod spill;
mod top;
mod unnest;
mod weigh;

use gristmill_stage::Registry;
use gristmill_stage::option::ByteSize;

pub use dedupe::{Approximate, Dedupe, DedupeOptions};
pub use limit::{Limit, LimitOptions};
pub use order::Order;
pub use sample::{Sample, SampleOptions};
pub use sort::{Sort, SortOptions};
pub use top::{Top, TopOptions};
pub use unnest::{Unnest, UnnestOptions};

gristmill_abi::export_stages!(Limit, Sample, Dedupe, Unnest, Sort, Top);

/// Adds all kinds of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(Limit).add(Sample).add(Dedupe).add(Unnest).add(Sort).add(Top);
}

/// What a stage may keep in memory, if nothing else is said.
fn memory() -> ByteSize {
    ByteSize(256 << 20)
}
