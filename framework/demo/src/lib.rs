//! The demo site: a small shop on loopback for examples and tests.
//!
//! A real HTTP/1.1 server whose content depends on nothing but the address asked for, so that a
//! pipeline, a test or a benchmark gives the same result on every machine and without a network.
//! Besides the shop it has pages that misbehave in every way that a fetcher must survive.
//!
//! | address | answer |
//! |---|---|
//! | `/` | this table, with links |
//! | `/item/{n}` | a page of the shop, about 10 KiB; `n` from 0 to 1,000,000, else 404 |
//! | `/item/{n}.json` | the same item as JSON |
//! | `/list/{page}` | 20 links to items and one to the next page |
//! | `/status/{code}` | that status, 200 to 599 |
//! | `/delay/{ms}` | a page after that time; so does `?delay=50ms` on every address |
//! | `?together={n}` on every address | waits until `n` such requests wait at once; `&door={name}` waits apart from others |
//! | `/flaky/{n}` | 503 on the first request for that `n`, then the item |
//! | `/retry-after/{s}`, `/retry-after/{s}/{id}` | 429 with `Retry-After` until `s` seconds after the first request |
//! | `/redirect/{k}`, `/redirect/loop` | `k` redirects that end at `/item/{k}`; a loop |
//! | `/bytes/{n}` | `n` bytes, streamed, up to 1 GiB |
//! | `/gzip-bomb` | 1 GiB of zeros in 1 MiB of gzip |
//! | `/charset/{name}` | the same text as `utf-8`, `latin1`, `utf-16le`, `utf-16be`, `meta`, `none`, `wrong` |
//! | `/echo` | the request (any method) as JSON: method, path, headers, body |
//! | `/close` | closes in the middle of a declared body |
//! | `/hang` | never answers |
//! | `/robots.txt` | allows all but the traps |
//!
//! ```
//! let site = gristmill_demo::DemoSite::start("127.0.0.1:0".parse().unwrap())?;
//! println!("{}/item/1", site.base());
//! // It stops when it is dropped.
//! # std::io::Result::Ok(())
//! ```

mod body;
mod charset;
mod door;
mod gzip;
mod item;
mod page;
mod route;
mod site;

pub use item::{CATEGORIES, Item};
pub use site::{DemoSite, DemoSiteBuilder, serve_forever};
