//! A call's right to run, which it can give up while it waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

/// The right of a call to run, one of [`Limits::concurrency`](super::Limits::concurrency).
pub struct Turn {
    turns: Arc<dyn Turns>,
}

impl Turn {
    pub(super) fn new(turns: Arc<dyn Turns>) -> Self {
        Self { turns }
    }

    /// Waits for `time` and lets another row run meanwhile: for the pause before a retry. Goes on
    /// when one of the turns is free again, before rows that have not begun.
    ///
    /// When very many rows pause already, it keeps its turn, so that what a stage holds is bounded.
    pub async fn pause(&mut self, time: Duration) {
        if !self.turns.leave() {
            tokio::time::sleep(time).await;
            return;
        }
        // If this future is dropped half way, the turn is taken back at once.
        let mut away = Away { turns: &*self.turns, place: Place::Paused };
        tokio::time::sleep(time).await;
        match away.turns.enter() {
            None => away.place = Place::Back,
            Some(free) => {
                away.place = Place::Waiting(free);
                if let Place::Waiting(free) = &mut away.place {
                    // The sender is kept until it has sent or the stage is gone.
                    let _ = free.await;
                }
                away.place = Place::Back;
            }
        }
    }
}

/// Who keeps the turns.
pub(super) trait Turns: Send + Sync {
    /// Gives up a turn; false when that is not possible now.
    fn leave(&self) -> bool;
    /// Takes a turn again, or says how it will be told that one was handed to it.
    fn enter(&self) -> Option<oneshot::Receiver<()>>;
    /// Takes a turn again at once, though all may be taken. `paused`: [`enter`](Turns::enter) was
    /// not called.
    fn force(&self, paused: bool);
}

enum Place {
    Paused,
    Waiting(oneshot::Receiver<()>),
    Back,
}

struct Away<'a> {
    turns: &'a dyn Turns,
    place: Place,
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        match &mut self.place {
            Place::Back => {}
            Place::Paused => self.turns.force(true),
            Place::Waiting(free) => {
                free.close();
                if free.try_recv().is_err() {
                    self.turns.force(false);
                }
            }
        }
    }
}
