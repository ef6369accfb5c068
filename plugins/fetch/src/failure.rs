//! Why there is no answer, in a sentence that is safe to log: no user names, passwords or queries.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// Why there is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reason, a sentence without a full stop.
    pub(crate) text: String,
    /// Whether another attempt may go better.
    pub(crate) passing: bool,
}

impl Failure {
    /// It may go better next time.
    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), passing: true }
    }

    /// It will not go better.
    pub(crate) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), passing: false }
    }

    /// Why reqwest has no answer.
    pub(crate) fn of_request(error: &reqwest::Error, connect_timeout: Duration) -> Self {
        if error.is_dns() {
            let host = error.url().and_then(reqwest::Url::host_str).unwrap_or_default();
            return Self::unknown_name(host);
        }
        if let Some(tls) = find_tls(error) {
            return Self::lasting(format!("no secure connection: {tls}"));
        }
        if error.is_connect() && error.is_timeout() {
            return Self::no_connection_within(connect_timeout);
        }
        if error.is_builder() {
            return Self::lasting(format!("no answer: {}", deepest(error)));
        }
        let what = if error.is_connect() { Lacking::Connection } else { Lacking::Answer };
        Self::of_wire(error, what)
    }

    /// Why there is no connection to a server, or no answer from it.
    pub(crate) fn of_wire(error: &(dyn StdError + 'static), what: Lacking) -> Self {
        if let Some(hyper) = find::<hyper::Error>(error) {
            if hyper.is_incomplete_message() {
                return Self::passing("the server closed the connection without an answer");
            }
            if hyper.is_parse() {
                return Self::lasting(format!("the answer is not HTTP: {}", deepest(hyper)));
            }
        }
        if let Some(io) = find::<io::Error>(error)
            && let Some(text) = of_io(io)
        {
            return Self::passing(text);
        }
        let what = match what {
            Lacking::Connection => "no connection",
            Lacking::Answer => "no answer",
        };
        Self::passing(format!("{what}: {}", deepest(error)))
    }

    /// Nobody knows the address of this host.
    pub(crate) fn unknown_name(host: &str) -> Self {
        Self::passing(format!("name not found: {host}"))
    }

    /// Connecting took too long.
    pub(crate) fn no_connection_within(time: Duration) -> Self {
        Self::passing(format!("no connection within {time:?}"))
    }

    /// Why the body did not come to its end.
    pub(crate) fn of_body(error: &(dyn StdError + 'static), got: usize, of: Option<u64>) -> Self {
        let amount = match of {
            Some(of) => format!("got {got} of {of} bytes"),
            None => format!("got {got} bytes"),
        };
        if let Some(hyper) = find::<hyper::Error>(error) {
            if is_closed(hyper) {
                return Self::passing(format!(
                    "the server closed the connection in the middle of the body: {amount}"
                ));
            }
            return Self::passing(format!("the body broke off: {}, {amount}", deepest(hyper)));
        }
        // Nothing is wrong with the connection, so it is the decompression.
        Self::lasting(format!("the body cannot be decompressed: {}, {amount}", deepest(error)))
    }
}

/// What is missing when there is no body to speak of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lacking {
    /// There is no connection.
    Connection,
    /// Nothing came over the connection.
    Answer,
}

/// Whether the server has closed the connection.
pub(crate) fn is_closed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kind = find::<io::Error>(error).map(io::Error::kind);
    error.is_incomplete_message()
        || matches!(kind, Some(UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe))
}

/// The usual failures of connections in words.
fn of_io(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
            "the server broke the connection"
        }
        Kind::UnexpectedEof => "the server closed the connection without an answer",
        Kind::HostUnreachable => "host not reachable",
        Kind::NetworkUnreachable => "network not reachable",
        Kind::AddrNotAvailable => "no local address or port is free for a connection",
        Kind::PermissionDenied => "the connection is not permitted on this machine",
        _ => return None,
    })
}

/// The causes, from the error inwards.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| {
        // An I/O error hides the error inside it from `source`.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

pub(crate) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

fn find_tls(error: &reqwest::Error) -> Option<String> {
    Some(match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(problem) => format!("the certificate is bad: {problem}"),
        other => other.to_string(),
    })
}

/// The innermost cause. The outer ones are of the library and may show the URL.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    match causes(error).last() {
        Some(cause) if !cause.is::<reqwest::Error>() => cause.to_string(),
        _ => "of an unknown cause".to_owned(),
    }
}
