//! Keeps the order of the input over several workers: each batch that is taken gets a ticket, and
//! what comes of it is sent when all earlier tickets are done.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;

/// The tickets of one ordered stage, shared by its workers.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    moved: Event,
}

#[derive(Debug, Default)]
struct State {
    issued: u64,
    turn: u64,
    /// Done before their turn came, because nothing came of them.
    done: BTreeSet<u64>,
}

/// The right to send in one's turn; given back when dropped.
#[derive(Debug)]
pub struct Ticket<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something and a ticket for it in one step, so that tickets are in the order of taking.
    /// No ticket is used up when nothing was taken.
    pub fn issue<T>(&self, take: impl FnOnce() -> Option<T>) -> Option<(T, Ticket<'_>)> {
        let mut state = self.lock();
        let taken = take()?;
        let number = state.issued;
        state.issued += 1;
        drop(state);
        Some((taken, Ticket { turns: self, number }))
    }
}

impl Ticket<'_> {
    /// Waits until all earlier tickets are done.
    pub async fn turn(&self) {
        loop {
            let listener = self.turns.moved.listen();
            if self.turns.lock().turn == self.number {
                return;
            }
            listener.await;
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.turns.lock();
            state.done.insert(self.number);
            while state.done.first() == Some(&state.turn) {
                state.done.pop_first();
                state.turn += 1;
            }
        }
        self.turns.moved.notify(usize::MAX);
    }
}
