//! Who may look at a run.
//!
//! A run that listens on loopback answers whoever is on this machine. A page of somebody else's in a browser
//! on this machine is not: it may give its own name the address 127.0.0.1 (DNS rebinding), so the name
//! that was asked for counts. A run that others can reach asks for a token. Prometheus and probes need
//! neither, as what they ask for has neither rows nor the pipeline in it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use gristmill_stage::{Error, Result};
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use subtle::ConstantTimeEq;

/// A token has at least so many characters.
const SHORTEST: usize = 16;
/// What probes and Prometheus ask for.
const OPEN: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// What somebody must say to look at a run. It is never printed by accident.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one that nobody can guess.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|e| Error::io(format!("the system gives no random bytes: {e}")))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// One that somebody chose.
    ///
    /// # Errors
    /// When it is short, or cannot stand in an address as it is. The error does not repeat it.
    pub fn chosen(text: &str) -> std::result::Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if text.len() < SHORTEST {
            return Err(format!("a token needs {SHORTEST} characters or more"));
        }
        if !text.bytes().all(plain) {
            let words = "a token may have letters, digits and `-._~`, as it stands in an address";
            return Err(words.to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself, for the one who may have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Takes as long for a token that is nearly right as for one that is all wrong.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Tells who may look.
#[derive(Debug, Clone)]
pub(super) struct Access {
    token: Option<Token>,
    /// Cookies know no ports, so two runs on one machine need two names.
    cookie: String,
}

/// Why a request is refused.
pub(super) type Refused = (StatusCode, &'static str);

impl Access {
    /// For a server that listens there. Without a token it must be loopback.
    pub(super) fn new(addr: SocketAddr, token: Option<Token>) -> Self {
        Self { token, cookie: format!("gristmill-{}", addr.port()) }
    }

    /// Whether a request may be answered; and the cookie with which a browser remembers its token.
    pub(super) fn check<B>(
        &self,
        request: &Request<B>,
    ) -> std::result::Result<Option<HeaderValue>, Refused> {
        let (path, headers) = (request.uri().path(), request.headers());
        if OPEN.contains(&path) {
            return Ok(None);
        }
        // A link may lead here from anywhere; what the page asks for, only the page asks for.
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if path != "/" && matches!(site, Some(b"cross-site" | b"same-site")) {
            return Err((StatusCode::FORBIDDEN, "only the page of this run may ask for this\n"));
        }
        match &self.token {
            Some(token) => self.known(token, request.uri().query(), headers),
            None if is_local(headers) => Ok(None),
            None => Err((
                StatusCode::FORBIDDEN,
                "this run answers to localhost, 127.0.0.1 and [::1] alone\n",
            )),
        }
    }

    fn known(
        &self,
        token: &Token,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> std::result::Result<Option<HeaderValue>, Refused> {
        let asked = query.and_then(|query| pair(query, '&', "token"));
        if asked.is_some_and(|asked| token.is(asked)) {
            let cookie =
                format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, token.reveal());
            return Ok(HeaderValue::from_str(&cookie).ok());
        }
        let all = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let bearer = all(AUTHORIZATION).any(|value| match value.split_once(' ') {
            Some((scheme, said)) => scheme.eq_ignore_ascii_case("bearer") && token.is(said.trim()),
            None => false,
        });
        let mut cookies = all(COOKIE).filter_map(|value| pair(value, ';', &self.cookie));
        if bearer || cookies.any(|said| token.is(said)) {
            return Ok(None);
        }
        Err((
            StatusCode::UNAUTHORIZED,
            "this needs the token of the run: ?token=… in the address that it printed, or \
             `Authorization: Bearer …`\n",
        ))
    }
}

/// The value of a name among `name=value` with something between them.
fn pair<'a>(text: &'a str, between: char, name: &str) -> Option<&'a str> {
    let mut pairs = text.split(between).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether the name that was asked for can be no other machine's.
fn is_local(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an address in brackets are no port.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let local = name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|addr| addr.is_loopback());
    local && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        is_local(&headers)
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LocalHost:9100", "127.0.0.1", "127.8.9.1:1", "[::1]", "[::1]:80"]
        {
            assert!(local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:80.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "[::2]",
            "::1",
            "0.0.0.0",
            "10.0.0.1",
            "localhost@evil.example",
        ] {
            assert!(!local(host), "{host}");
        }
    }

    #[test]
    fn a_token_does_not_print_itself_and_is_not_short() {
        let token = Token::random().unwrap();
        assert_eq!(token.reveal().len(), 32);
        assert_ne!(token.reveal(), Token::random().unwrap().reveal());
        assert!(!format!("{token:?}").contains(token.reveal()));
        for wrong in ["", "short", "with a space in it", "semicolon;semicolon", "ümläüte-und-mehr"]
        {
            let error = Token::chosen(wrong).unwrap_err();
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
    }
}
