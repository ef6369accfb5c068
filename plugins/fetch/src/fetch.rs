//! The call for one row: attempts, pauses, and what counts as failed.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::concurrent::{AsyncRows, Row, Selection, Turn};
use gristmill_stage::{BuildContext, Clock, Error, Origins, Result};
use reqwest::header::CONTENT_TYPE;

use crate::answer::{Answer, Body, columns};
use crate::client::{Client, Progress, Reply, Request};
use crate::failure::Failure;
use crate::options::{BodyType, FetchOptions, OnError, StatusSet};
use crate::readings::{CONNECTIONS, Readings};
use crate::request::{Origin, RequestColumns};
use crate::retry::{Retry, is_passing};
use crate::text::decode;

/// Fetches the rows of the input.
pub(crate) struct FetchRows {
    client: Client,
    retry: Retry,
    input: RequestColumns,
    /// The columns that are carried through, by place.
    carried: Vec<usize>,
    output: SchemaRef,
    clock: Arc<dyn Clock>,
    origins: Arc<Origins>,
    on_error: OnError,
    fail_status: StatusSet,
    body: BodyType,
    readings: Readings,
}

/// Times and counts over all attempts of one request.
struct Tally {
    begun: Duration,
    wait: Duration,
    attempts: u32,
    progress: Progress,
}

impl FetchRows {
    pub(crate) fn new(
        options: FetchOptions,
        carried: Vec<usize>,
        output: SchemaRef,
        context: &BuildContext,
    ) -> Result<Self> {
        Ok(Self {
            client: Client::new(&options, context.reading(CONNECTIONS)?)?,
            retry: Retry::new(&options),
            input: RequestColumns::find(context.input())?,
            carried,
            output,
            clock: Arc::clone(context.clock()),
            origins: Arc::clone(context.origins()),
            on_error: options.on_error,
            fail_status: options.fail_status,
            body: options.body,
            readings: Readings::new(context)?,
        })
    }

    /// Makes attempts until one counts.
    async fn attempts(
        &self,
        request: &Request,
        tally: &mut Tally,
        turn: &mut Turn,
    ) -> Result<Reply, Failure> {
        loop {
            tally.attempts += 1;
            let begun = self.clock.now();
            let held = self.readings.begin(tally.attempts);
            let result = self.client.send(request, &*self.clock, &mut tally.progress).await;
            drop(held);
            let status = tally.progress.status.map(|status| status.as_u16());
            self.readings.end(status, self.clock.now().saturating_sub(begun));
            let passing = match &result {
                Ok(reply) => is_passing(reply.status.as_u16()),
                Err(failure) => failure.passing,
            };
            if !passing || !self.retry.allows(&request.method, tally.attempts) {
                return result;
            }
            let asked = match &result {
                Ok(reply) => self.retry.asked(&reply.headers, self.clock.wall()),
                Err(_) => None,
            };
            // The body is not held during the pause.
            drop(result);
            let pause =
                asked.unwrap_or_else(|| self.retry.pause(request.url.as_str(), tally.attempts));
            let paused = self.clock.now();
            turn.pause(pause).await;
            tally.wait += self.clock.now().saturating_sub(paused);
        }
    }

    /// The row of an answer.
    fn answer(&self, reply: Reply, origin: Option<&Origin>) -> Answer {
        let content_type = reply.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let bytes = reply.body.len();
        let body = match self.body {
            BodyType::Text => Body::Text(decode(reply.body, content_type)),
            BodyType::Bytes => Body::Bytes(reply.body),
        };
        let url = String::from(reply.url);
        Answer {
            final_url: Some(match origin {
                Some(origin) => origin.restore(url),
                None => url,
            }),
            status: Some(reply.status.as_u16()),
            headers: Some(reply.headers),
            body: Some(body),
            bytes: Some(bytes),
            ..Answer::default()
        }
    }

    /// The row of a request, whether it failed or not.
    fn row(&self, answer: Answer, failure: Option<String>, tally: &Tally) -> Result<Answer> {
        let error = failure.map(|text| match tally.attempts {
            0 | 1 => text,
            attempts => format!("{text} ({attempts} attempts)"),
        });
        if let (Some(error), OnError::Reject) = (&error, self.on_error) {
            return Err(Error::io(error));
        }
        Ok(Answer {
            error,
            attempts: tally.attempts,
            wait: tally.wait,
            first_byte: tally.progress.first_byte,
            total: self.clock.now().saturating_sub(tally.begun),
            ..answer
        })
    }
}

impl AsyncRows for FetchRows {
    type Out = Answer;

    async fn call(&self, row: Row, turn: &mut Turn) -> Result<Answer> {
        let mut tally = Tally {
            begun: self.clock.now(),
            wait: Duration::ZERO,
            attempts: 0,
            progress: Progress::default(),
        };
        let Some(url) = self.input.url(row.batch(), row.index()) else {
            return Err(Error::data("the column `url` is null"));
        };
        let (resolved, origin) = Origin::resolve(url, &self.origins);
        let request = match self.input.request(row.batch(), row.index(), &resolved) {
            Ok(request) => request,
            Err(reason) => return self.row(Answer::default(), Some(reason), &tally),
        };
        match self.attempts(&request, &mut tally, turn).await {
            Ok(reply) => {
                let status = reply.status;
                let failed = self.fail_status.contains(status.as_u16());
                let failure = failed.then(|| format!("the server answered {status}"));
                if failed && self.on_error == OnError::Reject {
                    return self.row(Answer::default(), failure, &tally);
                }
                self.row(self.answer(reply, origin.as_ref()), failure, &tally)
            }
            Err(failure) => {
                let status = tally.progress.status.map(|status| status.as_u16());
                self.row(Answer { status, ..Answer::default() }, Some(failure.text), &tally)
            }
        }
    }

    fn size(&self, answer: &Answer) -> usize {
        answer.size()
    }

    fn collect(&self, rows: Vec<(Row, Answer)>) -> Result<RecordBatch> {
        let (rows, answers): (Vec<Row>, Vec<Answer>) = rows.into_iter().unzip();
        let rows = Selection::new(&rows);
        let places = self.carried.iter().chain([&self.input.url]);
        let mut all = places.map(|&column| rows.column(column)).collect::<Result<Vec<_>>>()?;
        all.extend(columns(&answers, self.body)?);
        Ok(RecordBatch::try_new(Arc::clone(&self.output), all)?)
    }
}
