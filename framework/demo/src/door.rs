//! Doors: requests wait in front of one until enough of them wait at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All doors, by the number that they wait for and their name.
#[derive(Default)]
pub(crate) struct Doors(Mutex<HashMap<(u64, String), Door>>);

#[derive(Default)]
struct Door {
    waiting: u64,
    open: bool,
    opened: Arc<Notify>,
}

/// A place in front of a door; given up when the client leaves.
struct Place<'a> {
    doors: &'a Doors,
    key: (u64, String),
}

impl Doors {
    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, String), Door>> {
        // Nothing here is half done when a panic comes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `wanted` requests wait at once for the door of that name. It stays open after
    /// that: the last of a number that is no multiple of `wanted` must come through as well.
    pub(crate) async fn pass(&self, wanted: u64, name: &str) {
        let key = (wanted, name.to_owned());
        let opened = {
            let mut doors = self.lock();
            let door = doors.entry(key.clone()).or_default();
            if door.open || door.waiting + 1 >= wanted {
                door.open = true;
                door.opened.notify_waiters();
                return;
            }
            door.waiting += 1;
            // Made under the lock: whoever opens the door later wakes it, polled or not.
            Arc::clone(&door.opened).notified_owned()
        };
        let _place = Place { doors: self, key };
        opened.await;
    }

    /// How many requests wait now.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().values().filter(|door| !door.open).map(|door| door.waiting).sum()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(door) = self.doors.lock().get_mut(&self.key) {
            door.waiting -= 1;
        }
    }
}
