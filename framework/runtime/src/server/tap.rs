//! `/api/tap`: rows of a stage as JSON lines while they pass.
//!
//! Rows are turned into JSON away from the stage. After the first moment, whoever does that rests
//! ninety-nine times as long as it worked, so that it uses a hundredth of a processor at the most.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::stream;
use gristmill_config::Plan;
use gristmill_stage::{BuildContext, Clock, Error, Output, Registry, Result, Role, Stage};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::answer::{Body, text};
use crate::board::Board;
use crate::letters::{json_rows, redact};
use crate::tap::Tapped;

/// So many may look at once.
const LOOKING: usize = 8;
/// Rows that are turned into JSON at once.
const ROWS: usize = 256;
/// Work in the beginning after which nobody rests, so that the first rows come at once.
const FREE: Duration = Duration::from_millis(10);
/// The rest after some work, as a multiple of it.
const REST: u32 = 99;

/// What is needed to show rows of a run.
#[derive(Clone)]
pub(crate) struct Taps {
    board: Arc<Board>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

/// What was asked for.
struct Asked {
    stage: usize,
    port: Option<usize>,
    rows: u64,
    filter: Option<Stage>,
}

/// Why nothing is shown.
type Refusal = (StatusCode, String);

impl Taps {
    pub(crate) fn new(board: Arc<Board>, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { board, registry, clock, places: Arc::new(Semaphore::new(LOOKING)) }
    }

    fn plan(&self) -> &Plan {
        &self.board.plan
    }

    /// The answer to a request with this query.
    pub(super) fn answer(&self, query: &str) -> Response<Body> {
        let asked = self.read(query).and_then(|asked| {
            let place = self.places.clone().try_acquire_owned().map_err(|_| {
                let why = format!("{LOOKING} look at rows already\n");
                (StatusCode::SERVICE_UNAVAILABLE, why)
            })?;
            Ok((asked, place))
        });
        let (asked, place) = match asked {
            Ok(asked) => asked,
            Err((status, why)) => {
                return text(status, self.plan().secrets.redact(&why).into_owned());
            }
        };
        let tapped = self.board.taps[asked.stage].open(asked.port);
        let (sender, receiver) = channel(1);
        let looking = Looking { taps: self.clone(), filter: asked.filter, left: asked.rows };
        tokio::spawn(looking.go(tapped, sender, place));
        let lines = stream::unfold(receiver, |mut lines| async move {
            let bytes: Bytes = lines.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), lines))
        });
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(lines)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn read(&self, query: &str) -> Result<Asked, Refusal> {
        let wrong = |why: String| (StatusCode::BAD_REQUEST, why);
        let (mut stage, mut rows, mut filter) = (None, u64::MAX, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "stage" => stage = Some(self.stage(&value)?),
                "rows" => {
                    rows = value
                        .parse()
                        .map_err(|_| wrong(format!("`rows` is `{value}`, which is no number\n")))?;
                }
                "where" => filter = Some(value.into_owned()),
                // Who asks is let in, or not, before.
                "token" => {}
                other => {
                    let known = "there are `stage`, `rows` and `where`";
                    return Err(wrong(format!("`{other}` is not known; {known}\n")));
                }
            }
        }
        let (stage, port) = stage.ok_or_else(|| wrong("`stage` says whose rows\n".to_owned()))?;
        let filter = filter
            .map(|filter| self.filter(&filter, &self.schema(stage)))
            .transpose()
            .map_err(|error| wrong(said(&error)))?;
        Ok(Asked { stage, port, rows, filter })
    }

    /// A stage by its name, or one of its outputs by `stage.output`.
    fn stage(&self, name: &str) -> Result<(usize, Option<usize>), Refusal> {
        let stages = &self.plan().stages;
        if let Some(id) = stages.iter().position(|stage| stage.name == name) {
            return Ok((id, None));
        }
        for (id, stage) in stages.iter().enumerate() {
            let port = name.strip_prefix(stage.name.as_str()).and_then(|n| n.strip_prefix('.'));
            let port = port.and_then(|port| stage.ports.iter().position(|own| own == port));
            if port.is_some() {
                return Ok((id, port));
            }
        }
        let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let why = format!("there is no stage named `{name}`; there are {}\n", names.join(", "));
        Err((StatusCode::NOT_FOUND, why))
    }

    /// The columns of the rows that are shown: what a stage puts out, or a sink takes.
    fn schema(&self, stage: usize) -> SchemaRef {
        let stage = &self.plan().stages[stage];
        if stage.role == Role::Sink { stage.input.clone() } else { stage.output.clone() }
    }

    /// A stage that lets only some rows pass: the one that pipelines have.
    fn filter(&self, condition: &str, schema: &SchemaRef) -> Result<Stage> {
        let kind = self.registry.get("filter");
        let kind = kind.ok_or_else(|| Error::data("this program has no `filter`"))?;
        let options = json!({ "where": condition });
        kind.plan(&options, Some(schema))?;
        let context = BuildContext::new("tap", self.clock.clone())
            .with_schemas(schema.clone(), schema.clone());
        kind.build(&options, context)
    }
}

fn said(error: &Error) -> String {
    let help = error.help_text().map(|help| format!("help: {help}\n")).unwrap_or_default();
    format!("{}\n{help}", error.message())
}

/// Somebody who looks.
struct Looking {
    taps: Taps,
    filter: Option<Stage>,
    left: u64,
}

impl Looking {
    async fn go(mut self, mut tapped: Tapped, lines: Sender<Bytes>, _place: OwnedSemaphorePermit) {
        let clock = self.taps.clock.clone();
        let mut worked = Duration::ZERO;
        while self.left > 0 {
            let batch = tokio::select! {
                batch = tapped.next() => batch,
                () = lines.closed() => return,
            };
            let Some(batch) = batch else { return };
            for start in (0..batch.num_rows()).step_by(ROWS) {
                let part = batch.slice(start, ROWS.min(batch.num_rows() - start));
                let begin = clock.now();
                let Ok((back, shown)) = spawn_blocking(move || self.show(&part)).await else {
                    return;
                };
                self = back;
                let work = clock.now().saturating_sub(begin);
                worked += work;
                let Ok(shown) = shown else { return };
                if !shown.is_empty() && lines.send(Bytes::from(shown)).await.is_err() {
                    return;
                }
                if self.left == 0 {
                    return;
                }
                if worked > FREE {
                    tokio::select! {
                        () = tokio::time::sleep(work * REST) => {}
                        () = lines.closed() => return,
                    }
                }
            }
        }
    }

    /// Some rows as JSON lines, and what is to be used for the next.
    fn show(mut self, rows: &RecordBatch) -> (Self, Result<String>) {
        let shown = self.lines(rows);
        (self, shown)
    }

    fn lines(&mut self, rows: &RecordBatch) -> Result<String> {
        let mut passed = Passed(Vec::new());
        match &mut self.filter {
            None => passed.0.push(rows.clone()),
            Some(Stage::Transform(filter)) => filter.process(rows.clone(), &mut passed)?,
            Some(Stage::Source(_)) => return Err(Error::internal("`filter` is a source here")),
        }
        let mut text = String::new();
        let secrets = self.taps.board.plan.secrets.clone();
        for rows in passed.0 {
            for row in json_rows(&rows)?.lines() {
                if self.left == 0 {
                    return Ok(text);
                }
                let shown = redact(row, &secrets);
                // Whether a row comes would tell what is blanked out in it.
                if self.filter.is_some() && shown != row {
                    continue;
                }
                text.push_str(&shown);
                text.push('\n');
                self.left -= 1;
            }
        }
        Ok(text)
    }
}

/// What a filter lets pass. Rows for which its condition fails are not among them.
struct Passed(Vec<RecordBatch>);

impl Output for Passed {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.0.push(batch);
        Ok(())
    }

    fn reject(&mut self, _: RecordBatch, _: &str) -> Result<()> {
        Ok(())
    }
}
