//! Lines for stderr, kept back while a screen is shown in its place.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines that are kept at the most; the oldest go first.
const KEPT: usize = 1000;

/// Where lines for stderr go.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Option<VecDeque<String>>>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a text, or keeps it back.
    ///
    /// # Errors
    /// When stderr cannot be written.
    pub fn put(&self, text: &str) -> io::Result<()> {
        match &mut *self.lock() {
            None => io::stderr().write_all(text.as_bytes()),
            Some(lines) => {
                if lines.len() == KEPT {
                    lines.pop_front();
                }
                lines.push_back(text.trim_end().to_owned());
                Ok(())
            }
        }
    }

    /// From now on lines are kept back.
    pub fn begin(&self) {
        *self.lock() = Some(VecDeque::new());
    }

    /// The last of the lines that are kept back.
    pub fn last(&self, count: usize) -> Vec<String> {
        let held = self.lock();
        let Some(lines) = &*held else { return Vec::new() };
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Writes what was kept back, and from now on each line at once.
    pub fn end(&self) {
        for line in self.lock().take().into_iter().flatten() {
            // Whoever has closed stderr does not want to know.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}
