//! Lines for the person at the terminal, on stderr.

use std::io::Write;

/// Says a line. Whoever has closed stderr does not want to know.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}
