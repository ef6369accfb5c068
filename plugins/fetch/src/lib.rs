//! `fetch`: HTTP requests in, answers out; one row each.
//!
//! | part | what it does |
//! |---|---|
//! | `options` | what stands under `with`, and its checks |
//! | `spec` | the kind: schema in, schema out, bounds |
//! | `request` | a request from a row of the input |
//! | `fetch` | the call for one row: attempts, pauses, what counts as failed |
//! | `client` | one attempt: redirects, timeouts, bounds, whichever way it goes |
//! | `hop` | a request on its way, and where a redirect leads |
//! | `pool`, `connection`, `resolve` | the short way: plain HTTP/1 on hyper; reqwest has the rest |
//! | `body` | the body of an answer, decompressed |
//! | `tls` | which certificates are trusted |
//! | `failure` | why there is no answer, in a sentence |
//! | `retry` | how long to pause before another attempt |
//! | `text` | bytes of a page to text |
//! | `answer` | the columns that come out |
//! | `readings` | what is told of requests besides their rows |

mod answer;
mod body;
mod client;
mod connection;
mod failure;
mod fetch;
mod hop;
mod options;
mod pool;
mod readings;
mod request;
mod resolve;
mod retry;
mod spec;
mod text;
mod tls;

pub use options::{Backoff, BodyType, FetchOptions, OnError, StatusSet};
pub use spec::Fetch;

use gristmill_stage::Registry;

gristmill_abi::export_stages!(Fetch);

/// Adds the kind `fetch`.
pub fn register(registry: &mut Registry) {
    registry.add(Fetch);
}
