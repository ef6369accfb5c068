//! Asks a run that serves its metrics, over HTTP.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// How long a run may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that is not a stream, at the most.
const LARGEST: usize = 64 << 20;
/// The environment variable that holds the token.
const TOKEN: &str = "GRISTMILL_TOKEN";

/// A run somewhere.
pub struct Client {
    /// `host:port`.
    authority: String,
    token: Option<String>,
    runtime: Runtime,
}

/// Rows, or whatever else comes, as it comes.
pub struct Lines<'a> {
    client: &'a Client,
    answer: Response<Incoming>,
    /// The start of a line whose end has not come.
    rest: Vec<u8>,
}

/// Why there is no answer, in words.
pub type Wrong = String;

impl Client {
    /// Whether a text names a run, and not a file.
    pub fn is_named(text: &str) -> bool {
        let local = text.trim_start_matches(':').parse::<u16>().is_ok();
        text.contains("://") || (local && !std::path::Path::new(text).exists())
    }

    /// The run at `http://HOST:PORT`, or at `PORT` of this machine. A token is taken from `?token=`
    /// or from the environment.
    pub fn new(text: &str) -> Result<Self, Wrong> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if scheme != "http" {
            return Err(format!("`{scheme}` is not spoken here\nhelp: write http://HOST:PORT"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.split(['/', '#']).next().unwrap_or_default();
        let authority = match place.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("127.0.0.1:{port}"),
            Err(_)
                if place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
            {
                place.to_owned()
            }
            Err(_) if place.is_empty() => return Err("write http://HOST:PORT".to_owned()),
            Err(_) => format!("{place}:80"),
        };
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
        let token = token.map(str::to_owned).or_else(|| std::env::var(TOKEN).ok());
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no request can be made: {error}"))?;
        Ok(Self { authority, token, runtime })
    }

    /// Where it is, without the token.
    pub fn place(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// What is there, as JSON.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Wrong> {
        let text = self.runtime.block_on(async {
            let got = async {
                let answer = self.ask(path).await?;
                let status = answer.status();
                Ok::<_, Wrong>((status, whole(answer).await?))
            };
            let late = || format!("{} does not answer", self.place());
            let (status, text) =
                tokio::time::timeout(PATIENCE, got).await.map_err(|_| late())??;
            self.good(status, &text).map(|()| text)
        })?;
        serde_json::from_str(&text)
            .map_err(|error| format!("{} does not answer as a run does: {error}", self.place()))
    }

    /// What is there, line by line.
    pub fn lines(&self, path: &str) -> Result<Lines<'_>, Wrong> {
        let answer = self.runtime.block_on(async {
            let answer = self.ask(path).await?;
            match answer.status() {
                StatusCode::OK => Ok(answer),
                status => {
                    let text = whole(answer).await?;
                    Err(self.good(status, &text).err().unwrap_or(text))
                }
            }
        })?;
        Ok(Lines { client: self, answer, rest: Vec::new() })
    }

    fn good(&self, status: StatusCode, text: &str) -> Result<(), Wrong> {
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
                "{} lets nobody in without its token\nhelp: write {}/?token=… as the run says it, or set {TOKEN}",
                self.place(),
                self.place()
            )),
            _ => Err(text.trim_end().to_owned()),
        }
    }

    async fn ask(&self, path: &str) -> Result<Response<Incoming>, Wrong> {
        let nobody = |error: &dyn std::fmt::Display| {
            format!(
                "nobody answers at {}: {error}\nhelp: a run is asked there that was started with `--metrics`",
                self.place()
            )
        };
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(&self.authority)).await;
        let stream = connected.map_err(|error| nobody(&error))?.map_err(|error| nobody(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| nobody(&error))?;
        // Its end shows in the answer.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::get(path).header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        sender.send_request(request).await.map_err(|error| nobody(&error))
    }
}

async fn whole(answer: Response<Incoming>) -> Result<String, Wrong> {
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| format!("the answer breaks off: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

impl Lines<'_> {
    /// The next lines, ends included; none when the run is over.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let frame = self.client.runtime.block_on(self.answer.frame());
            // A run that ends may break off in the middle of a line, which is no row then.
            let data = frame?.ok()?.into_data().ok()?;
            self.rest.extend_from_slice(&data);
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Some(std::mem::replace(&mut self.rest, rest));
            }
        }
    }
}

/// A text as it stands in a query.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_many_names() {
        let at = |text: &str| Client::new(text).map(|client| client.authority).unwrap_or_default();
        assert_eq!(at("9100"), "127.0.0.1:9100");
        assert_eq!(at(":9100"), "127.0.0.1:9100");
        assert_eq!(at("http://host:1/?token=x"), "host:1");
        assert_eq!(at("http://[::1]:9100/api"), "[::1]:9100");
        assert_eq!(at("http://host"), "host:80");
        assert_eq!(at("https://host"), "");
        assert!(Client::is_named("http://host:1") && Client::is_named("9100"));
        assert!(!Client::is_named("shop.yaml") && !Client::is_named("-"));
        assert_eq!(escaped("a b='ä'"), "a%20b%3D%27%C3%A4%27");
    }
}
