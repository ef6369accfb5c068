//! One async call per row: concurrency, order, linger and snapshots are kept here.
//!
//! Implement [`AsyncRows`] and wrap it in [`Concurrent`], which is a [`Transform`](crate::Transform):
//!
//! - up to [`Limits::concurrency`] calls run at once, on the runtime of the worker;
//! - results are collected into batches; a batch leaves when it is full (at 1 MiB, if not before),
//!   when its oldest row has waited for [`Limits::linger`], or when nothing else is running;
//! - an error of a call rejects its row with the message of the error, and the stage goes on; only
//!   those of the kinds [`Closed`](crate::ErrorKind::Closed) and
//!   [`Internal`](crate::ErrorKind::Internal) end it;
//! - a panic in a call ends the stage with an error of kind
//!   [`Panic`](crate::ErrorKind::Panic);
//! - results leave as they come, or in the order of the input where the
//!   [context](crate::BuildContext::ordered) asks for it;
//! - when downstream is slow no further calls begin: finished results are bounded by about two
//!   batches, besides those of the calls that run already;
//! - the snapshot is the rows that were taken and whose results have not left; a stage restored from
//!   it makes their calls again.
//!
//! With the feature `rows` a closure over serde structs will do: `map`.

mod catch;
mod finished;
mod row;
mod state;
#[cfg(test)]
mod tests;
mod transform;
mod turn;
#[cfg(feature = "rows")]
mod typed;

use std::future::Future;
use std::time::Duration;

use arrow_array::RecordBatch;

use crate::Result;

pub use row::{Row, Selection};
pub use transform::Concurrent;
pub use turn::Turn;
#[cfg(feature = "rows")]
pub use typed::map;

/// One async call per row, and how its results become a batch.
pub trait AsyncRows: Send + Sync + 'static {
    /// What a call yields.
    type Out: Send + 'static;

    /// Makes the call for one row. It runs on the worker's runtime and must not block. It is dropped
    /// without notice when the stage is.
    ///
    /// # Errors
    /// Reject the row with the message of the error; two kinds end the stage, see the
    /// [module](self).
    fn call(&self, row: Row, turn: &mut Turn) -> impl Future<Output = Result<Self::Out>> + Send;

    /// How many bytes the result takes in a batch, about. The row itself is counted already.
    fn size(&self, out: &Self::Out) -> usize;

    /// Makes a batch of the stage's output schema. There is at least one row.
    ///
    /// # Errors
    /// End the stage.
    fn collect(&self, rows: Vec<(Row, Self::Out)>) -> Result<RecordBatch>;
}

/// How many calls run at once, and how long a finished row may wait for company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that run at once; at least one.
    pub concurrency: usize,
    /// How long the oldest finished row waits for its batch to fill.
    pub linger: Duration,
}

impl Limits {
    /// So many calls at once, and a linger of 10 ms.
    pub const fn new(concurrency: usize) -> Self {
        Self { concurrency, linger: Duration::from_millis(10) }
    }

    /// Sets the linger.
    #[must_use]
    pub const fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }
}
