//! A request from a row of the input.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use gristmill_stage::{Error, Origins, Result};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use crate::client::Request;
use crate::options::header;

/// The columns that make a request, by place.
pub(crate) struct RequestColumns {
    pub(crate) url: usize,
    method: Option<usize>,
    headers: Option<usize>,
    body: Option<usize>,
}

impl RequestColumns {
    /// Finds them in the input.
    ///
    /// # Errors
    /// [`Error::column`] for one that is missing or of a type that cannot work.
    pub(crate) fn find(schema: &Schema) -> Result<Self> {
        let find = |name: &str, fits: fn(&DataType) -> bool, types: &str| {
            let Some((index, field)) = schema.column_with_name(name) else { return Ok(None) };
            if fits(field.data_type()) {
                return Ok(Some(index));
            }
            let found = field.data_type();
            Err(Error::column(name, format!("the column `{name}` is {found}, it must be {types}"))
                .help(format!("convert or drop `{name}` before this stage")))
        };
        let url = find("url", is_text, "text")?
            .ok_or_else(|| Error::column("url", "fetch needs a column `url` with the addresses"))?;
        Ok(Self {
            url,
            method: find("method", is_text, "text")?,
            headers: find("headers", is_headers, "a map of text to text")?,
            body: find("body", |t| is_text(t) || is_bytes(t), "text or bytes")?,
        })
    }

    /// Their names.
    pub(crate) fn names<'a>(&self, schema: &'a Schema) -> impl Iterator<Item = &'a str> {
        let indices = [Some(self.url), self.method, self.headers, self.body];
        indices.into_iter().flatten().map(|index| schema.field(index).name().as_str())
    }

    /// The address in row `index`; `None` when it is null.
    pub(crate) fn url<'a>(&self, batch: &'a RecordBatch, index: usize) -> Option<&'a str> {
        text(batch.column(self.url), index)
    }

    /// The request of row `index` for the address `url`; why there is none, otherwise.
    pub(crate) fn request(
        &self,
        batch: &RecordBatch,
        index: usize,
        url: &str,
    ) -> Result<Request, String> {
        let method = self.method.and_then(|column| text(batch.column(column), index));
        let headers = match self.headers {
            Some(column) => headers(batch.column(column), index)?,
            None => HeaderMap::new(),
        };
        let body = self.body.and_then(|column| bytes(batch.column(column), index));
        Ok(Request {
            method: method.map_or(Ok(Method::GET), parse_method)?,
            url: parse_url(url)?,
            headers,
            body: body.map(Bytes::copy_from_slice).unwrap_or_default(),
        })
    }
}

/// Addresses that exist only during this run: how to come back from the address of an answer.
pub(crate) struct Origin {
    scheme: String,
    base: String,
}

impl Origin {
    /// The address to connect to, and, if it is of this run only, how to come back from there.
    pub(crate) fn resolve<'a>(url: &'a str, origins: &Origins) -> (Cow<'a, str>, Option<Self>) {
        let resolved = origins.resolve(url);
        let origin = match (&resolved, url.split_once(':')) {
            (Cow::Owned(_), Some((scheme, _))) => {
                let root = format!("{scheme}:/");
                let base = origins.resolve(&root).trim_end_matches('/').to_owned();
                Some(Self { scheme: scheme.to_owned(), base })
            }
            _ => None,
        };
        (resolved, origin)
    }

    /// The address as a person would write it: `demo:/item/1`.
    pub(crate) fn restore(&self, url: String) -> String {
        match url.strip_prefix(&self.base) {
            Some(rest) if rest.starts_with('/') => format!("{}:{rest}", self.scheme),
            _ => url,
        }
    }
}

fn parse_method(text: &str) -> Result<Method, String> {
    let wrong = || format!("`{}` is not a method", text.escape_debug());
    let method = Method::from_bytes(text.trim().to_ascii_uppercase().as_bytes());
    match method {
        Ok(Method::CONNECT) => Err("CONNECT is for proxies and cannot be sent".to_owned()),
        Ok(method) => Ok(method),
        Err(_) => Err(wrong()),
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim())
        .map_err(|error| format!("invalid URL `{}`: {error}", harmless(text)))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("`{scheme}:` addresses cannot be fetched, only http: and https:")),
    }
}

/// As much of a broken URL as can be shown: without what may be a password or a token.
fn harmless(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = &text[..end];
    let text = match text.rsplit_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => text.to_owned(),
    };
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_headers(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                fields.len() == 2 && fields.iter().all(|field| is_text(field.data_type()))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The text at `index`; `None` when it is null.
fn text(array: &dyn Array, index: usize) -> Option<&str> {
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string_opt::<i32>()?.value(index)),
        DataType::LargeUtf8 => Some(array.as_string_opt::<i64>()?.value(index)),
        DataType::Utf8View => Some(array.as_string_view_opt()?.value(index)),
        _ => None,
    }
}

fn bytes(array: &dyn Array, index: usize) -> Option<&[u8]> {
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::Binary => Some(array.as_binary_opt::<i32>()?.value(index)),
        DataType::LargeBinary => Some(array.as_binary_opt::<i64>()?.value(index)),
        DataType::BinaryView => Some(array.as_binary_view_opt()?.value(index)),
        _ => text(array, index).map(str::as_bytes),
    }
}

fn headers(array: &dyn Array, index: usize) -> Result<HeaderMap, String> {
    let Some(map) = array.as_map_opt().filter(|map| !map.is_null(index)) else {
        return Ok(HeaderMap::new());
    };
    let entries = map.value(index);
    let mut headers = HeaderMap::with_capacity(entries.len());
    for entry in 0..entries.len() {
        let name = text(entries.column(0), entry).unwrap_or_default();
        // A header without a value is one that is not sent.
        if let Some(value) = text(entries.column(1), entry) {
            let (name, value) = header(name, value)?;
            headers.append(name, value);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_addresses_are_explained_without_secrets() {
        for (url, part) in [
            ("item/1", "relative URL without a base"),
            ("", "relative URL without a base"),
            ("http://", "empty host"),
            ("ftp://user:secret@host/", "`ftp:` addresses"),
            ("http://user:secret@host:99999/", "…@host:99999/"),
            ("//x/?token=secret", "invalid URL `//x/`"),
        ] {
            let error = parse_url(url).unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(parse_url(" https://example.com/ä ").is_ok());
    }

    #[test]
    fn methods_are_words() {
        assert_eq!(parse_method("post").unwrap(), Method::POST);
        assert_eq!(parse_method("PURGE").unwrap().as_str(), "PURGE");
        assert!(parse_method("a b").is_err() && parse_method("connect").is_err());
    }

    #[test]
    fn addresses_of_the_run_come_back() {
        let mut origins = Origins::default();
        origins.add("demo", "http://127.0.0.1:4711");
        let (url, origin) = Origin::resolve("demo:item/1", &origins);
        let origin = origin.unwrap();
        assert_eq!(url, "http://127.0.0.1:4711/item/1");
        assert_eq!(origin.restore("http://127.0.0.1:4711/b?c".to_owned()), "demo:/b?c");
        for other in ["http://127.0.0.1:47110/b", "http://example.com/"] {
            assert_eq!(origin.restore(other.to_owned()), other);
        }
        assert!(Origin::resolve("http://demo/", &origins).1.is_none());
    }
}
