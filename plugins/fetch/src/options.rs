//! What stands under `with`, and its checks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gristmill_stage::option::{ByteSize, Time};
use gristmill_stage::{Error, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The options of `fetch`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchOptions {
    /// How many requests run at once, per worker: 1 to 65536.
    pub concurrency: usize,
    /// How long one attempt may take, from connecting to the last byte of the body.
    pub timeout: Time,
    /// How long connecting may take.
    pub connect_timeout: Time,
    /// How long the server may be silent in the middle of a body.
    pub read_timeout: Time,
    /// How often a request is made again after it could not connect, timed out, was cut off or was
    /// answered with 408, 425, 429, 500, 502, 503 or 504.
    pub retries: u32,
    /// Whether methods that may change something on the server (POST, PATCH) are retried too.
    pub retry_all: bool,
    /// How long to pause before a retry. Other requests run meanwhile.
    pub backoff: Backoff,
    /// The largest body, in bytes after decompression, at most 512MiB. A larger one is a failed
    /// request.
    pub max_body: ByteSize,
    /// How many redirects are followed. With 0 the redirect itself is the answer.
    pub redirects: usize,
    /// Headers of every request. A header of the same name in the `headers` column of a row is sent
    /// instead.
    pub headers: BTreeMap<String, String>,
    /// The User-Agent header.
    pub user_agent: String,
    /// What becomes of a request without a usable answer (no connection, timeout, body too large):
    /// `reject` sends its row to the rejected rows with the reason, `row` emits a row with the reason
    /// in the column `error`.
    pub on_error: OnError,
    /// Answers that count as failed requests, by status: numbers and classes, such as
    /// `[404, 5xx]`. By default none: an answer is an answer.
    pub fail_status: StatusSet,
    /// The type of the column `body`: `text` (decoded by its byte order mark, the charset of the
    /// answer or of the page, or as UTF-8) or `bytes` (as it came, decompressed).
    pub body: BodyType,
    /// The proxy of all requests: `http://…`, `https://…`, `socks5://…` or `socks5h://…`.
    pub proxy: Option<String>,
    /// Whether HTTP/2 is used where the server offers it.
    pub http2: bool,
    /// Whether the certificates of servers are checked.
    pub verify_tls: bool,
    /// A file (PEM) of certificate authorities to trust besides those of the machine.
    pub ca_file: Option<PathBuf>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            concurrency: 16,
            timeout: Time(Duration::from_secs(30)),
            connect_timeout: Time(Duration::from_secs(10)),
            read_timeout: Time(Duration::from_secs(15)),
            retries: 2,
            retry_all: false,
            backoff: Backoff::default(),
            max_body: ByteSize(10 << 20),
            redirects: 10,
            headers: BTreeMap::new(),
            user_agent: concat!("gristmill/", env!("CARGO_PKG_VERSION")).to_owned(),
            on_error: OnError::default(),
            fail_status: StatusSet::default(),
            body: BodyType::default(),
            proxy: None,
            http2: true,
            verify_tls: true,
            ca_file: None,
        }
    }
}

/// The pauses before retries: the first is `initial`, each further one twice as long, up to `max`;
/// up to half of it is taken off by chance, so that retries do not come all at once.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The first pause.
    pub initial: Time,
    /// The longest pause.
    pub max: Time,
    /// The longest pause when the server says how long to wait (Retry-After).
    pub max_retry_after: Time,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Time(Duration::from_millis(200)),
            max: Time(Duration::from_secs(30)),
            max_retry_after: Time(Duration::from_secs(120)),
        }
    }
}

/// What becomes of a failed request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Its row is rejected with the reason.
    #[default]
    Reject,
    /// It is a row with the reason in the column `error`.
    Row,
}

/// The type of the column `body`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyType {
    /// Text (`Utf8`).
    #[default]
    Text,
    /// Bytes (`Binary`).
    Bytes,
}

/// A set of statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StatusSet(Vec<StatusPattern>);

/// One status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatusPattern {
    first: u16,
    last: u16,
}

impl StatusSet {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| (pattern.first..=pattern.last).contains(&status))
    }
}

impl FromStr for StatusPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a status; write it like 404 or 5xx");
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().map_err(|_| wrong())?;
            return match class {
                1..=5 => Ok(Self { first: class * 100, last: class * 100 + 99 }),
                _ => Err(wrong()),
            };
        }
        match text.parse() {
            Ok(status @ 100..=599) => Ok(Self { first: status, last: status }),
            _ => Err(wrong()),
        }
    }
}

struct StatusText;

impl de::Visitor<'_> for StatusText {
    type Value = StatusPattern;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a status like 404 or 5xx")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusPattern, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusPattern, E> {
        self.visit_str(&status.to_string())
    }

    fn visit_i64<E: de::Error>(self, status: i64) -> Result<StatusPattern, E> {
        self.visit_str(&status.to_string())
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusText)
    }
}

impl JsonSchema for StatusPattern {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "status",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^[1-5](xx|[0-9][0-9])$" },
            ],
            "examples": [404, "5xx"],
        })
    }
}

/// The most that `max_body` may be: a page may triple when it becomes text, and the text of a batch
/// must stay under 2 GiB.
const MAX_BODY: u64 = 512 << 20;

impl FetchOptions {
    /// Finds values that are out of range or do not parse.
    ///
    /// # Errors
    /// The first of them.
    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=65536).contains(&self.concurrency) {
            let text = format!("{} requests at once cannot be", self.concurrency);
            return Err(Error::option("concurrency", text).help("write a number from 1 to 65536"));
        }
        let times = [
            ("timeout", self.timeout),
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
        ];
        for (name, time) in times {
            if time.0.is_zero() {
                let help = "write a time such as 30s";
                return Err(Error::option(name, "no request can end in no time").help(help));
            }
        }
        if self.max_body.0 > MAX_BODY {
            let text = format!("a body of {} is more than a row can hold", self.max_body);
            let help = format!("at most {}", ByteSize(MAX_BODY));
            return Err(Error::option("max_body", text).help(help));
        }
        self.proxy()?;
        self.header_map().map(drop)
    }

    /// The headers of every request, User-Agent included.
    ///
    /// # Errors
    /// When one cannot be sent.
    pub(crate) fn header_map(&self) -> Result<HeaderMap> {
        let mut map = HeaderMap::with_capacity(self.headers.len() + 1);
        let agent = HeaderValue::from_str(&self.user_agent).map_err(|_| {
            Error::option("user_agent", "a header cannot hold line breaks or control characters")
        })?;
        map.insert(reqwest::header::USER_AGENT, agent);
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)
                .map_err(|reason| Error::option(format!("headers.{name}"), reason))?;
            map.insert(name, value);
        }
        Ok(map)
    }

    /// The proxy.
    ///
    /// # Errors
    /// When it is not the URL of one.
    pub(crate) fn proxy(&self) -> Result<Option<reqwest::Proxy>> {
        const SCHEMES: [&str; 5] = ["http", "https", "socks4", "socks5", "socks5h"];
        // The text may hold a password, so it is not shown.
        let wrong = || {
            Error::option("proxy", "this is not the URL of a proxy")
                .help("write it like http://proxy.example:3128 or socks5://127.0.0.1:1080")
        };
        let Some(text) = &self.proxy else { return Ok(None) };
        let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
        if !SCHEMES.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        reqwest::Proxy::all(url).map(Some).map_err(|_| wrong())
    }
}

/// Headers that follow from the request; another value would break it.
const OWN: [&str; 5] =
    ["content-length", "transfer-encoding", "connection", "upgrade", "keep-alive"];

/// A header that can be sent; why not, otherwise. The value is never part of the reason.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{}` is not a header name", name.escape_debug()))?;
    if OWN.contains(&key.as_str()) {
        return Err(format!("the header `{key}` follows from the request and cannot be set"));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("the header `{key}` cannot hold line breaks or control characters"))?;
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn options(value: Value) -> Result<FetchOptions> {
        let options: FetchOptions =
            serde_json::from_value(value).map_err(|e| Error::data(e.to_string()))?;
        options.check().map(|()| options)
    }

    #[test]
    fn empty_options_are_the_defaults() {
        let options = options(json!({})).unwrap();
        assert_eq!((options.concurrency, options.retries, options.redirects), (16, 2, 10));
        assert_eq!(options.on_error, OnError::Reject);
        assert!(options.user_agent.starts_with("gristmill/"));
    }

    #[test]
    fn statuses_are_numbers_and_classes() {
        let set = options(json!({ "fail_status": [404, "5xx", "301"] })).unwrap().fail_status;
        let found: Vec<u16> =
            [200, 301, 302, 404, 405, 500, 599].into_iter().filter(|s| set.contains(*s)).collect();
        assert_eq!(found, [301, 404, 500, 599]);
        for wrong in [json!(["6xx"]), json!([99]), json!(["x"]), json!(["404xx"])] {
            assert!(options(json!({ "fail_status": wrong })).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mistakes_name_the_option() {
        for (value, path) in [
            (json!({ "concurrency": 0 }), "concurrency"),
            (json!({ "concurrency": 70000 }), "concurrency"),
            (json!({ "timeout": "0s" }), "timeout"),
            (json!({ "max_body": "1GiB" }), "max_body"),
            (json!({ "proxy": "ftp://u:secret@host" }), "proxy"),
            (json!({ "proxy": "secret" }), "proxy"),
            (json!({ "headers": { "a b": "1" } }), "headers.a b"),
            (json!({ "headers": { "x": "secret\n" } }), "headers.x"),
            (json!({ "headers": { "Content-Length": "1" } }), "headers.Content-Length"),
            (json!({ "user_agent": "a\nb" }), "user_agent"),
        ] {
            let error = options(value.clone()).unwrap_err();
            assert_eq!(error.option_path(), Some(path), "{value}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
