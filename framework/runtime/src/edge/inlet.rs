//! The taking end of a worker: the queues of all edges that lead to it.

use std::sync::Arc;

use event_listener::{Event, EventListener};

use super::queue::{Queue, Taken};

/// All queues that one worker takes from. Leaves each when dropped.
pub struct Inlet {
    queues: Vec<Arc<Queue>>,
    /// Those that have not ended.
    open: Vec<usize>,
    /// Where to look first, so that no edge starves another.
    next: usize,
    readable: Arc<Event>,
}

impl Inlet {
    /// An inlet from these queues, all of which notify `readable` and count it as a taker.
    pub fn new(queues: Vec<Arc<Queue>>, readable: Arc<Event>) -> Self {
        let open = (0..queues.len()).collect();
        Self { queues, open, next: 0, readable }
    }

    /// The next batch of any of the queues, each in its turn.
    pub fn take(&mut self) -> Taken {
        let mut tried = 0;
        while tried < self.open.len() {
            if self.next >= self.open.len() {
                self.next = 0;
            }
            match self.queues[self.open[self.next]].take() {
                Taken::Parcel(parcel) => {
                    self.next += 1;
                    return Taken::Parcel(parcel);
                }
                Taken::Empty => {
                    self.next += 1;
                    tried += 1;
                }
                Taken::Ended => {
                    self.open.swap_remove(self.next);
                }
            }
        }
        if self.open.is_empty() { Taken::Ended } else { Taken::Empty }
    }

    /// Told when there may be something to take. Listen first, then take, then wait.
    pub fn listen(&self) -> EventListener {
        self.readable.listen()
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.leave();
        }
    }
}
