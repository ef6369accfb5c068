//! Lines of the access logs of Apache and nginx, cut at their spaces, brackets and quotes.

use gristmill_stage::Result;
use gristmill_stage::option::ColumnType;
use memchr::memchr;

use super::escape::{quoted, unescape};
use super::parts::{Part, Takers};
use super::{Extract, Found, Locator, line};
use crate::cells::{Cells, Misfit};
use crate::options::{Format, Options};
use crate::time::ACCESS_LOG;

const HOST: usize = 0;
const IDENTITY: usize = 1;
const USER: usize = 2;
const TIME: usize = 3;
const METHOD: usize = 4;
const PATH: usize = 5;
const PROTOCOL: usize = 6;
const STATUS: usize = 7;
const BYTES: usize = 8;
const REQUEST: usize = 9;
const REST: usize = 10;
const REFERER: usize = 11;
const USER_AGENT: usize = 12;

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let time =
        Part { layout: Some(ACCESS_LOG.to_owned()), ..Part::of("time", ColumnType::Timestamp) };
    let mut parts = vec![
        Part::new("host"),
        Part::new("identity"),
        Part::new("user"),
        time,
        Part::new("method"),
        Part::new("path"),
        Part::new("protocol"),
        Part::of("status", ColumnType::Int64),
        Part::of("bytes", ColumnType::Int64),
        Part::new("request").hidden(),
        Part::new("rest").hidden(),
    ];
    let combined = options.format == Format::Combined;
    if combined {
        parts.extend([Part::new("referer"), Part::new("user_agent")]);
    }
    let (fields, takers) = Takers::new(options, Locator::Key, &parts)?;
    let wants_request = [METHOD, PATH, PROTOCOL, REQUEST].iter().any(|part| takers.any(*part));
    let extract = Access { combined, takers, wants_request, buffer: String::new() };
    Ok(Found { fields, extract: Box::new(extract) })
}

struct Access {
    combined: bool,
    takers: Takers,
    wants_request: bool,
    /// The value at hand, without its escapes.
    buffer: String,
}

impl Extract for Access {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let takers = &self.takers;
        let (host, rest) = word(line(text)).ok_or_else(|| ends_before("identity"))?;
        let (identity, rest) = word(rest).ok_or_else(|| ends_before("user"))?;
        // The name of a user may have spaces, and brackets.
        let (user, rest) = until_time(rest).ok_or_else(|| ends_before("time"))?;
        let close = memchr(b']', rest.as_bytes()).ok_or_else(|| ends_before("time"))?;
        let (time, rest) = (&rest[..close], &rest[close + 1..]);
        let (request, rest) = in_quotes(rest, "request")?;
        let rest = rest.strip_prefix(' ').ok_or_else(|| ends_before("status"))?;
        let (status, rest) = word(rest).ok_or_else(|| ends_before("number of bytes"))?;
        let (bytes, mut rest) =
            word(rest).map_or((rest, ""), |(bytes, _)| rest.split_at(bytes.len()));
        takers.put(HOST, host, cells)?;
        takers.put(IDENTITY, identity, cells)?;
        takers.put(USER, user, cells)?;
        takers.put(TIME, time, cells)?;
        if self.wants_request {
            put_request(takers, unescape(request, &mut self.buffer), cells)?;
        }
        takers.put(STATUS, status, cells)?;
        takers.put(BYTES, bytes, cells)?;
        if self.combined {
            let (referer, after) = in_quotes(rest, "referer")?;
            let (agent, after) = in_quotes(after, "user agent")?;
            rest = after;
            for (part, text) in [(REFERER, referer), (USER_AGENT, agent)] {
                if takers.any(part) {
                    takers.put(part, unescape(text, &mut self.buffer), cells)?;
                }
            }
        }
        match rest.strip_prefix(' ') {
            None if rest.is_empty() => Ok(()),
            Some(rest) if takers.any(REST) => takers.put(REST, rest, cells),
            _ => Err(Misfit(format!(
                "the line goes on after its last part; a field `rest` would take what follows the {}",
                if self.combined { "user agent" } else { "number of bytes" },
            ))),
        }
    }
}

/// The parts of `GET /path HTTP/1.1`. A line that is anything else, as attackers send it, has none.
fn put_request(takers: &Takers, request: &str, cells: &mut Cells) -> Result<(), Misfit> {
    takers.put(REQUEST, request, cells)?;
    let Some((method, rest)) = word(request) else {
        return Ok(());
    };
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        return Ok(());
    }
    let (path, protocol) = match memchr::memrchr(b' ', rest.as_bytes()) {
        Some(at) if rest[at + 1..].starts_with("HTTP/") => (&rest[..at], Some(&rest[at + 1..])),
        _ => (rest, None),
    };
    takers.put(METHOD, method, cells)?;
    takers.put(PATH, path, cells)?;
    protocol.map_or(Ok(()), |protocol| takers.put(PROTOCOL, protocol, cells))
}

/// The text up to the bracket of the time, and what follows that.
fn until_time(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let open = from + memchr(b'[', text.as_bytes().get(from..)?)?;
        if let Some(user) = text[..open].strip_suffix(' ') {
            return Some((user, &text[open + 1..]));
        }
        from = open + 1;
    }
}

/// The text up to the first space, and what follows the space.
fn word(text: &str) -> Option<(&str, &str)> {
    let at = memchr(b' ', text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// The text in ` "…"`, and what follows the quotes.
fn in_quotes<'a>(text: &'a str, what: &str) -> Result<(&'a str, &'a str), Misfit> {
    let inside = text.strip_prefix(" \"").ok_or_else(|| ends_before(what))?;
    quoted(inside).ok_or_else(|| Misfit(format!("the {what} has no quote at its end")))
}

fn ends_before(what: &str) -> Misfit {
    Misfit(format!("the line is not an access log: its {what} is not where it should be"))
}
