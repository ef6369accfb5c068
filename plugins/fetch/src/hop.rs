//! A request on its way: what is sent, and where a redirect leads.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::Uri;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    HeaderName, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use reqwest::{Method, StatusCode, Url};

use crate::failure::Failure;

/// One request of those that a chain of redirects needs.
pub(crate) struct Hop<'a> {
    pub(crate) method: Method,
    /// Without a user name and password.
    url: Cow<'a, Url>,
    /// The same, as the libraries of the protocol take it: without the fragment.
    pub(crate) uri: Uri,
    pub(crate) headers: Cow<'a, HeaderMap>,
    pub(crate) body: Bytes,
    /// How many redirects led here.
    redirects: usize,
}

impl<'a> Hop<'a> {
    /// The first request.
    ///
    /// # Errors
    /// When the URL cannot be sent.
    pub(crate) fn new(
        method: Method,
        url: Cow<'a, Url>,
        headers: Cow<'a, HeaderMap>,
        body: Bytes,
    ) -> Result<Self, Failure> {
        let uri = Uri::try_from(url.as_str())
            .map_err(|error| Failure::lasting(format!("the URL cannot be sent: {error}")))?;
        Ok(Self { method, url, uri, headers, body, redirects: 0 })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL as that of an answer.
    pub(crate) fn into_url(self) -> Url {
        let mut url = self.url.into_owned();
        url.set_fragment(None);
        url
    }

    /// Where this answer leads; `None` when it is the one that was asked for.
    ///
    /// # Errors
    /// When no redirect may lead there.
    pub(crate) fn next(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        most: usize,
    ) -> Result<Option<Hop<'static>>, Failure> {
        if most == 0 || !is_redirect(status) {
            return Ok(None);
        }
        // A redirect to nowhere is an answer like any other.
        let Some((url, uri)) = location(headers, &self.url) else { return Ok(None) };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::lasting(format!("redirect to a `{}:` address", url.scheme())));
        }
        if self.redirects == most {
            let plural = if most == 1 { "" } else { "s" };
            return Err(Failure::lasting(format!("more than {most} redirect{plural}")));
        }
        let mut next = Hop {
            method: self.method.clone(),
            headers: Cow::Owned(self.headers.clone().into_owned()),
            body: self.body.clone(),
            redirects: self.redirects + 1,
            url: Cow::Owned(url),
            uri,
        };
        if becomes_get(status, &self.method) {
            next.method = if self.method == Method::HEAD { Method::HEAD } else { Method::GET };
            next.body = Bytes::new();
            remove(&mut next, &[CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING]);
        }
        if !same_server(&self.url, &next.url) {
            remove(&mut next, &[AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION]);
        }
        Ok(Some(next))
    }
}

/// Whether there is a user name or a password in the URL.
pub(crate) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The URL without them.
pub(crate) fn without_user(mut url: Url) -> Url {
    if has_user(&url) {
        // Only a URL that cannot have them refuses.
        let _ = (url.set_username(""), url.set_password(None));
    }
    url
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Whether the redirect asks for a page and no longer for what the request was to do.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        status => status == StatusCode::SEE_OTHER,
    }
}

fn location(headers: &HeaderMap, base: &Url) -> Option<(Url, Uri)> {
    let text = std::str::from_utf8(headers.get(LOCATION)?.as_bytes()).ok()?;
    // A server does not choose as whom we come.
    let url = without_user(base.join(text).ok()?);
    let uri = Uri::try_from(url.as_str()).ok()?;
    Some((url, uri))
}

/// Whether what is meant for one may be sent to the other.
fn same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn remove(hop: &mut Hop<'_>, names: &[HeaderName]) {
    let headers = hop.headers.to_mut();
    for name in names {
        headers.remove(name);
    }
}
