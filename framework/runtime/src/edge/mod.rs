//! Edges: bounded queues between the workers of two stages.

mod hash;
mod inlet;
mod outlet;
mod queue;

pub use inlet::Inlet;
pub use outlet::{Dealing, EdgeOut, Outlet};
pub use queue::{Level, Parcel, Queue, Taken};
