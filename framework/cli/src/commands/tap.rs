//! `gristmill tap`: rows of a running pipeline as they pass.

use std::io::{ErrorKind, Write};

use crate::args::Tap;
use crate::client::{Client, escaped};
use crate::exit::Exit;
use crate::say::failed;

/// Prints rows until there are enough, or the run is over.
pub fn tap(args: &Tap) -> Exit {
    let mut path = format!("/api/tap?stage={}", escaped(&args.stage));
    if let Some(rows) = args.rows {
        path.push_str(&format!("&rows={rows}"));
    }
    if let Some(condition) = &args.condition {
        path.push_str(&format!("&where={}", escaped(condition)));
    }
    let client = match Client::new(&args.run) {
        Ok(client) => client,
        Err(why) => return failed(why),
    };
    let mut rows = match client.lines(&path) {
        Ok(rows) => rows,
        Err(why) => return failed(why),
    };
    let mut out = std::io::stdout().lock();
    while let Some(lines) = rows.next() {
        match out.write_all(&lines).and_then(|()| out.flush()) {
            Ok(()) => {}
            // Who reads has enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return failed(format!("stdout cannot be written: {error}")),
        }
    }
    Exit::Done
}
