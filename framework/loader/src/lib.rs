//! Finds plugins, checks them and opens them. The only place that loads code at run time.
//!
//! A [`Loader`] is a value that knows where to search and which libraries it has opened. What it opens
//! is never unloaded: batches that a plugin made hold callbacks into it. The file that is checked is the
//! very file that is loaded, whatever happens to its name meanwhile.

mod bounds;
mod elf;
mod file;
mod guard;
mod host;
mod kind;
mod library;
mod loader;
mod options;
mod output;
mod plan;
mod readings;
mod search;
mod stage;
mod state;

pub use library::Library;
pub use loader::{Loader, Seen, Wanted, add};
pub use search::SEARCH_PATH;
