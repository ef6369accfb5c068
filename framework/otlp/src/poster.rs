//! One request to the collector, and what its answer means.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::messages::refused;

/// More of an answer is not read: it has a sentence in it, if anything.
const MOST: usize = 64 * 1024;

/// Sends to one address.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

/// Why something did not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// In words, without headers and passwords.
    pub(crate) words: String,
    /// Whether the same may get through later.
    pub(crate) again: bool,
    /// When, if the collector says that.
    pub(crate) after: Option<Duration>,
}

/// The client for these addresses. Certificates of the machine are looked at only if one is `https`.
///
/// # Errors
/// What hinders it.
pub(crate) fn client(timeout: Duration, tls: bool) -> Result<Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |e: &dyn Error| format!("TLS cannot be set up: {e}");
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?;
    let config = if tls {
        let verifier = Verifier::new(provider).map_err(|e| {
            format!("the certificates of this machine cannot be used ({e}); SSL_CERT_FILE names a file of others")
        })?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Client::builder()
        .tls_backend_preconfigured(config.with_no_client_auth())
        .user_agent(concat!("gristmill/", env!("CARGO_PKG_VERSION")))
        // Headers are for the collector and nobody whom it names.
        .redirect(Policy::none())
        .timeout(timeout)
        .build()
        .map_err(|e| wrong(&e))
}

impl Poster {
    pub(crate) fn new(client: Client, url: Url, headers: HeaderMap) -> Self {
        Self { client, url, headers }
    }

    /// Where it sends, as people may read it.
    pub(crate) fn place(&self) -> String {
        let mut url = self.url.clone();
        // An address with a host can be without these.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// Sends once. Gives what the collector has refused of it, and why.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Option<(u64, String)>, Trouble> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let answer = request.send().await.map_err(|e| unsent(&e))?;
        match trouble(&answer) {
            Some(trouble) => Err(trouble),
            None => Ok(refused(&read(answer).await)),
        }
    }
}

fn unsent(error: &reqwest::Error) -> Trouble {
    let words = if error.is_timeout() {
        "it does not answer in time".to_owned()
    } else {
        // The innermost cause says what happened; those around it repeat the address.
        let mut inner: &dyn Error = error;
        while let Some(source) = inner.source() {
            inner = source;
        }
        inner.to_string()
    };
    Trouble { words, again: true, after: None }
}

fn trouble(answer: &Response) -> Option<Trouble> {
    let status = answer.status();
    if status.is_success() {
        return None;
    }
    // By the specification: those that say that it may be otherwise soon.
    let again = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let after =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let help = match status.as_u16() {
        401 | 403 => " (OTEL_EXPORTER_OTLP_HEADERS says who asks)",
        404 | 405 => " (is that the port for OTLP over HTTP, most often 4318?)",
        _ => "",
    };
    let words = format!("it answers {status}{help}");
    Some(Trouble { words, again, after: after.map(Duration::from_secs) })
}

/// The body of an answer, as far as it is of interest.
async fn read(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    // What breaks off here was accepted all the same.
    while let Ok(Some(more)) = answer.chunk().await {
        body.extend_from_slice(&more);
        if body.len() > MOST {
            break;
        }
    }
    body
}
