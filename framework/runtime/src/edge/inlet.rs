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
                    // Another queue stands in its place now, maybe one that was tried already.
                    self.open.swap_remove(self.next);
                    tried = 0;
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

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use gristmill_config::Bound;
    use proptest::prelude::*;

    use super::*;
    use crate::edge::queue::Parcel;

    fn parcel() -> Parcel {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        Parcel::new(RecordBatch::try_from_iter([("n", column)]).unwrap(), None)
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push(usize),
        End(usize),
        Take,
    }

    fn steps(queues: usize) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (0..queues).prop_map(Step::Push),
            1 => (0..queues).prop_map(Step::End),
            3 => Just(Step::Take),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// A worker that is told of nothing goes to sleep, so there must be nothing, in no queue.
        #[test]
        fn nothing_is_passed_over(steps in steps(4)) {
            let readable = Arc::<Event>::default();
            let bound = Bound { rows: 100, bytes: 10_000 };
            let queue = |_| Arc::new(Queue::new(bound, 1, 1, readable.clone()));
            let queues: Vec<_> = (0..4).map(queue).collect();
            let mut inlet = Inlet::new(queues.clone(), readable.clone());
            let (mut held, mut ended) = (0, [false; 4]);
            for step in steps {
                match step {
                    Step::Push(n) if !ended[n] => {
                        prop_assert!(queues[n].push(parcel()).is_ok());
                        held += 1;
                    }
                    Step::End(n) if !ended[n] => {
                        queues[n].end();
                        ended[n] = true;
                    }
                    Step::Push(_) | Step::End(_) => {}
                    Step::Take => match inlet.take() {
                        Taken::Parcel(_) => held -= 1,
                        Taken::Empty => prop_assert!(held == 0 && ended.contains(&false)),
                        Taken::Ended => prop_assert!(held == 0 && !ended.contains(&false)),
                    },
                }
            }
        }
    }
}
