//! `inspect` and `discard`: look at a flow, or swallow it.

mod discard;
mod inspect;
mod table;

use gristmill_stage::Registry;

pub use discard::{Discard, DiscardOptions};
pub use inspect::{Inspect, InspectOptions};

gristmill_abi::export_stages!(Inspect, Discard);

/// Adds `inspect` and `discard`.
pub fn register(registry: &mut Registry) {
    registry.add(Inspect).add(Discard);
}
