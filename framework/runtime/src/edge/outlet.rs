//! The sending end of a worker: every batch goes to every edge of the output that it leaves by, dealt
//! out as the edge says.

use std::sync::Arc;

use futures::future::select_all;
use gristmill_config::Distribution;
use gristmill_stage::Result;

use super::hash::HashSplit;
use super::queue::{Parcel, Queue, Refused};

/// One edge as its senders see it.
pub struct EdgeOut {
    /// The output of the stage that it begins at.
    pub port: usize,
    /// One queue, or one for each worker of the next stage.
    pub queues: Vec<Arc<Queue>>,
    /// How to deal out.
    pub distribution: Dealing,
}

/// A distribution, ready to deal.
pub enum Dealing {
    /// Everything into the one queue.
    Shared,
    /// By hash.
    Hash(HashSplit),
    /// A copy for each.
    Broadcast,
}

impl Dealing {
    /// Makes a distribution ready for batches of this schema.
    ///
    /// # Errors
    /// When a column to hash by cannot be hashed.
    pub fn new(distribution: &Distribution, schema: &arrow_schema::Schema) -> Result<Self> {
        Ok(match distribution {
            Distribution::Shared => Self::Shared,
            Distribution::Broadcast => Self::Broadcast,
            Distribution::Hash(columns) => Self::Hash(HashSplit::new(columns, schema)?),
        })
    }
}

/// All edges that one worker feeds. Ends its part in each when dropped.
pub struct Outlet {
    edges: Vec<EdgeOut>,
    pending: Vec<(Arc<Queue>, Parcel)>,
}

impl Outlet {
    /// An outlet to these edges; each queue must count it as a sender.
    pub fn new(edges: Vec<EdgeOut>) -> Self {
        Self { edges, pending: Vec::new() }
    }

    /// Tries to send a batch by an output, without waiting; what found no room stays pending.
    ///
    /// # Errors
    /// When the rows cannot be split by hash.
    pub fn offer(&mut self, port: usize, parcel: Parcel) -> Result<()> {
        for edge in self.edges.iter_mut().filter(|edge| edge.port == port) {
            match &mut edge.distribution {
                Dealing::Shared | Dealing::Broadcast => {
                    for queue in &edge.queues {
                        self.pending.push((queue.clone(), parcel.clone()));
                    }
                }
                Dealing::Hash(split) => {
                    for (worker, part) in split.split(&parcel.batch, edge.queues.len())? {
                        let part = Parcel::new(part, parcel.trace);
                        self.pending.push((edge.queues[worker].clone(), part));
                    }
                }
            }
        }
        self.push_pending();
        Ok(())
    }

    /// Whether something still waits for room.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Puts in what fits now.
    fn push_pending(&mut self) {
        for (queue, parcel) in std::mem::take(&mut self.pending) {
            match queue.push(parcel) {
                Ok(()) | Err(Refused::Closed) => {}
                Err(Refused::Full(parcel)) => self.pending.push((queue, parcel)),
            }
        }
    }

    fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.edges.iter().flat_map(|edge| &edge.queues)
    }

    /// Whether there are edges, and nobody takes from any of them any more.
    pub fn is_closed(&self) -> bool {
        !self.edges.is_empty() && self.queues().all(|queue| queue.is_closed())
    }

    /// Waits until nobody takes from any edge any more; for ever if there are no edges.
    pub async fn closed(&self) {
        loop {
            let listeners: Vec<_> = self.queues().map(|queue| queue.left().listen()).collect();
            if self.is_closed() {
                return;
            }
            if listeners.is_empty() {
                return std::future::pending().await;
            }
            select_all(listeners).await;
        }
    }

    /// Waits until all that is pending was put in or nobody is there to take it. May be given up at
    /// any time: what was not put in stays pending.
    pub async fn flush(&mut self) {
        while !self.pending.is_empty() {
            let listeners: Vec<_> = self.pending.iter().map(|(q, _)| q.space().listen()).collect();
            self.push_pending();
            if self.pending.is_empty() {
                return;
            }
            select_all(listeners).await;
            self.push_pending();
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        for queue in self.queues() {
            queue.end();
        }
    }
}
