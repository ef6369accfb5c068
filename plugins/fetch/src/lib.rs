//! `fetch`: HTTP requests in, answers out; one row each.
//!
//! | part | what it does |
//! |---|---|
//! | `options` | what stands under `with`, and its checks |
//! | `spec` | the kind: schema in, schema out, bounds |
//! | `request` | a request from a row of the input |
//! | `fetch` | the call for one row: attempts, pauses, what counts as failed |
//! | `client` | the only part that knows the HTTP library |
//! | `tls` | which certificates are trusted |
//! | `failure` | why there is no answer, in a sentence |
//! | `retry` | how long to pause before another attempt |
//! | `text` | bytes of a page to text |
//! | `answer` | the columns that come out |

mod answer;
mod client;
mod failure;
mod fetch;
mod options;
mod request;
mod retry;
mod spec;
mod text;
mod tls;

pub use options::{Backoff, BodyType, FetchOptions, OnError, StatusSet};
pub use spec::Fetch;

use gristmill_stage::Registry;

/// Adds the kind `fetch`.
pub fn register(registry: &mut Registry) {
    registry.add(Fetch);
}
