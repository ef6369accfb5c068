//! `ask`: asks an HTTP service about each row, several at a time, and adds what it answers. The plugin
//! brings a runtime of its own: the feature `async` of `gristmill-abi` sees to it.

use std::time::Duration;

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::concurrent::{self, Limits};
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{BuildContext, Error, Planned, Result, Role, Stage, StageSpec, rows};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

gristmill_abi::export_stages!(Ask);

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// The largest answer that is read.
const MOST: usize = 1 << 20;

/// The kind `ask`.
pub struct Ask;

/// The options under `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub struct Options {
    /// The address of the service; the row's `n` goes to its end.
    service: String,
    /// How many questions are under way at once.
    #[serde(default = "eight")]
    concurrency: usize,
}

fn eight() -> usize {
    8
}

#[derive(Debug, Deserialize)]
struct Question {
    n: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    n: i64,
    status: i64,
    answer: String,
}

impl StageSpec for Ask {
    type Options = Options;
    const KIND: &'static str = "ask";
    const SUMMARY: &'static str = "Asks an HTTP service about each row.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: ask\nwith: { service: \"http://localhost:8080/item/\" }";
    const INPUT: &'static str = "`n` (int64)";
    const OUTPUT: &'static str = "`n`, `status` (int64), `answer` (string)";

    fn plan(options: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        if options.concurrency == 0 {
            return Err(
                Error::option("concurrency", "nothing would ever be asked").help("1 or more")
            );
        }
        rows::expect::<Question>(input)?;
        Ok(Planned::emits(rows::schema_of::<Answered>()?))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        // `demo:` stands for a server that runs only as long as the pipeline.
        let service = context.origins().resolve(&options.service).into_owned();
        concurrent::map(&context, Limits::new(options.concurrency), move |question| {
            ask(client.clone(), service.clone(), question)
        })
    }
}

/// An error rejects the row.
async fn ask(client: HttpClient, service: String, Question { n }: Question) -> Result<Answered> {
    let address = format!("{service}{n}").parse();
    let address: Uri = address.map_err(|e| Error::data(format!("this is no address: {e}")))?;
    let answer = async {
        let failed = |e: String| Error::io(format!("the service does not answer: {e}"));
        let response = client.get(address).await.map_err(|e| failed(e.to_string()))?;
        let status = i64::from(response.status().as_u16());
        let body = Limited::new(response.into_body(), MOST).collect().await;
        let body = body.map_err(|e| failed(e.to_string()))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let answer = text.lines().next().unwrap_or_default().to_owned();
        Ok(Answered { n, status, answer })
    };
    let late = |_| Error::io("the service does not answer within 10 seconds");
    timeout(Duration::from_secs(10), answer).await.map_err(late)?
}
