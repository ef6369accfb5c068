//! What stands under `with`.

mod fields;

use std::borrow::Cow;
use std::fmt;

use gristmill_stage::option::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess};
use serde::{Deserialize, Deserializer};

pub(crate) use self::fields::{FieldMap, FieldOptions, Fields, HtmlPart, NumberMarks};

/// Options of `parse`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The input column to parse: text or bytes.
    #[serde(default = "Options::body")]
    pub(crate) column: String,
    /// What the text is.
    pub(crate) format: Format,
    /// The output columns, in this order: a name, and where its value is found. Short for
    /// `{ css: … }`, `{ path: … }`, `{ group: … }` or `{ key: … }`: the selector, path, group or key
    /// alone. Formats that know their parts have columns for them when this is left out.
    #[serde(default)]
    pub(crate) fields: Fields,
    /// For html and xml: one row for each element that this finds, with the fields looked for in that
    /// element: a CSS selector, or a path. A text without such an element gives no row. When one of
    /// the rows does not fit, the input row is rejected, once, and the rows that fit still come out.
    #[serde(default)]
    pub(crate) rows: Option<String>,
    /// For `format: regex`: the regular expression. Its named groups, `(?<name>…)`, are the columns
    /// when `fields` is left out. The first match counts. For `format: pattern`: the text with
    /// `{name}`, `{name:type}` or `{name:timestamp:%d/%b/%Y}` where the values stand. A value ends
    /// where the text after it begins for the first time; `{}` is skipped, `{{` and `}}` are braces.
    #[serde(default)]
    pub(crate) pattern: Option<String>,
    /// For `format: csv`: the names of all columns of the line, in their order. When left out:
    /// the names of `fields`.
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    /// For `format: csv`: what stands between the values. `,` when left out.
    #[serde(default)]
    pub(crate) delimiter: Option<char>,
    /// For `format: csv`: what stands around a value that has the delimiter in it; doubled, it is
    /// itself. `"` when left out.
    #[serde(default)]
    pub(crate) quote: Option<char>,
    /// For `format: keyvalue`: what stands between two pairs. Any white space when left out.
    #[serde(default)]
    pub(crate) pair_separator: Option<String>,
    /// For `format: keyvalue`: what stands between a key and its value. `=` when left out.
    #[serde(default)]
    pub(crate) key_separator: Option<String>,
    /// Texts that stand for a missing value. When left out: `-` for combined, common and syslog, the
    /// empty text for csv, else none.
    #[serde(default)]
    pub(crate) nulls: Option<Vec<String>>,
    /// The time zone of times that are written without one: `Europe/Berlin` or `+02:00`. A time that
    /// comes twice, when clocks are set back, is the first of the two. UTC when left out.
    #[serde(default)]
    pub(crate) zone: Option<String>,
    /// The input columns to keep in front of the fields: a list of names, or `all`. When left out:
    /// all but the parsed one.
    #[serde(default)]
    pub(crate) keep: Option<Keep>,
    /// What becomes of a row that does not fit: `reject` sends the whole row to the rejected rows,
    /// `null` keeps it with null in the fields that could not be read.
    #[serde(default)]
    pub(crate) on_error: OnError,
    /// The charset of a column of bytes, such as `windows-1252`, whatever the bytes and others say.
    /// When left out, as in browsers: the byte order mark, else `charset_column`, else for html
    /// `<meta charset>` in the first 1024 bytes and for xml its declaration, else a guess if
    /// `guess_charset` is on, else UTF-8. Bytes that are wrong in the charset become U+FFFD.
    #[serde(default)]
    pub(crate) charset: Option<String>,
    /// The column that says what the charset is: a text such as `text/html; charset=koi8-r` or
    /// `koi8-r`, or a map with a `content-type`, as the `headers` of `fetch`.
    #[serde(default)]
    pub(crate) charset_column: Option<String>,
    /// Guess the charset from the bytes when nothing says it.
    #[serde(default)]
    pub(crate) guess_charset: bool,
    /// A longer text does not fit.
    #[serde(default = "Options::ten_mebibytes")]
    pub(crate) max_bytes: ByteSize,
    /// For html and xml: a text with elements nested deeper than this does not fit.
    #[serde(default = "Options::depth")]
    pub(crate) max_depth: u32,
}

impl Options {
    fn body() -> String {
        "body".to_owned()
    }

    fn ten_mebibytes() -> ByteSize {
        ByteSize(10 << 20)
    }

    fn depth() -> u32 {
        512
    }
}

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A web page; fields are found by CSS selectors.
    Html,
    /// One JSON value; fields are found by paths.
    Json,
    /// Any text; fields are the named groups of `pattern`.
    Regex,
    /// Any text; fields stand in `pattern` as `{name:type}`. Faster than a regular expression.
    Pattern,
    /// A document; fields are found by paths such as `feed/entry/link/@href`, from the root element
    /// on: names as they are written, with their prefix, or `*` for any. Entities that the document
    /// declares are not replaced, and nothing is fetched.
    Xml,
    /// One line of comma-separated values; fields are its `columns`.
    Csv,
    /// Pairs such as `level=info msg="it works"`; fields are keys. A key without `=` has the value
    /// `true`. A field with the key `$` and `type: json` takes all pairs as an object.
    Logfmt,
    /// Pairs with separators of your choice; fields are keys, as for logfmt.
    KeyValue,
    /// An URL. Columns: scheme, host, port (int64; that of the scheme when it is not written), path,
    /// query, fragment; on request also user, password.
    Url,
    /// A query string such as `a=1&b=x%20y`, with or without `?` before it; fields are keys, as for
    /// logfmt.
    Query,
    /// A line of an access log of Apache or nginx in the combined format. Columns: host, identity, user, time
    /// (timestamp), method, path, protocol, status (int64), bytes (int64), referer, user_agent; on
    /// request also request, the request line as a whole, which has no method, path and protocol when
    /// it is malformed, and rest, what follows the user agent. A line that goes on does not fit
    /// without a field for rest. Escapes such as `\"` and `\x22` are resolved.
    Combined,
    /// The same without referer and user_agent.
    Common,
    /// A line of syslog, as in RFC 5424 or RFC 3164, also without priority, as in files. Columns: facility, severity
    /// (words such as `daemon` and `err`), time (timestamp), host, app, pid, msgid, data (json, the structured
    /// data), message; on request also priority and version (int64). A time without a year is
    /// taken to be of the last twelve months.
    Syslog,
}

impl Format {
    /// The word in the YAML.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Regex => "regex",
            Self::Pattern => "pattern",
            Self::Xml => "xml",
            Self::Csv => "csv",
            Self::Logfmt => "logfmt",
            Self::KeyValue => "keyvalue",
            Self::Url => "url",
            Self::Query => "query",
            Self::Combined => "combined",
            Self::Common => "common",
            Self::Syslog => "syslog",
        }
    }
}

/// What becomes of a row that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnError {
    /// The row is rejected, with the reason.
    #[default]
    Reject,
    /// The row stays, with null in the fields that could not be read.
    Null,
}

/// Which input columns are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every one, the parsed one too.
    All,
    /// These.
    Columns(Vec<String>),
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of columns, or `all`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Keep, E> {
                match text {
                    "all" => Ok(Keep::All),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keep, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = list.next_element()? {
                    columns.push(column);
                }
                Ok(Keep::Columns(columns))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Keep {
    fn schema_name() -> Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "const": "all" },
                { "type": "array", "items": { "type": "string" } },
            ],
        })
    }
}
