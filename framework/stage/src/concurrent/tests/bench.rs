//! A runtime, a clock and a bell in the hands of the test.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tokio::runtime::{Builder, Runtime};

use crate::concurrent::{AsyncRows, Concurrent, Limits, Row, Turn};
use crate::{BatchTarget, BuildContext, Clock, Output, Result, Transform};

/// A clock that the test sets.
#[derive(Default)]
pub(super) struct HandClock(pub(super) Mutex<Duration>);

impl Clock for HandClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// Counts how often the stage was called for.
#[derive(Default)]
pub(super) struct Bell(pub(super) AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub(super) struct Sink {
    pub(super) batches: Vec<Vec<i64>>,
    pub(super) rejected: Vec<(i64, String)>,
}

impl Sink {
    pub(super) fn rows(&self) -> Vec<i64> {
        self.batches.concat()
    }

    pub(super) fn sorted(&self) -> Vec<i64> {
        let mut rows = self.rows();
        rows.sort_unstable();
        rows
    }
}

impl Output for Sink {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.batches.push(values(&batch));
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.rejected.extend(values(&rows).into_iter().map(|n| (n, reason.to_owned())));
        Ok(())
    }
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

pub(super) fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column = Arc::new(Int64Array::from_iter_values(numbers));
    RecordBatch::try_new(schema(), vec![column]).unwrap()
}

pub(super) fn values(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// Runs a closure over the numbers of the rows.
pub(super) struct Numbers<F>(F);

pub(super) type Answer = std::pin::Pin<Box<dyn Future<Output = Result<i64>> + Send>>;

impl<F: Fn(i64) -> Answer + Send + Sync + 'static> AsyncRows for Numbers<F> {
    type Out = i64;

    async fn call(&self, row: Row, turn: &mut Turn) -> Result<i64> {
        let number = row.batch().column(0).as_primitive::<Int64Type>().value(row.index());
        // Numbers from 1000 on pause before they are called, as many milliseconds as they are more.
        if let Some(pause) = number.checked_sub(1000).filter(|pause| *pause > 0) {
            turn.pause(Duration::from_millis(pause.unsigned_abs())).await;
        }
        (self.0)(number).await
    }

    fn size(&self, _: &i64) -> usize {
        8
    }

    fn collect(&self, rows: Vec<(Row, i64)>) -> Result<RecordBatch> {
        assert!(!rows.is_empty());
        Ok(batch(rows.into_iter().map(|(_, out)| out)))
    }
}

pub(super) fn calls<F, Fut>(call: F) -> Numbers<impl Fn(i64) -> Answer + Send + Sync + 'static>
where
    F: Fn(i64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<i64>> + Send + 'static,
{
    Numbers(move |number| Box::pin(call(number)) as Answer)
}

/// A runtime that runs only while the test lets it, a clock and a bell.
pub(super) struct Bench {
    pub(super) runtime: Runtime,
    pub(super) clock: Arc<HandClock>,
    pub(super) bell: Arc<Bell>,
    pub(super) target: BatchTarget,
    pub(super) ordered: bool,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            runtime: Builder::new_current_thread().enable_time().build().unwrap(),
            clock: Arc::default(),
            bell: Arc::default(),
            target: BatchTarget { rows: 10, bytes: 1 << 20 },
            ordered: false,
        }
    }

    pub(super) fn context(&self) -> BuildContext {
        let handle = self.runtime.handle().clone();
        BuildContext::new("calls", self.clock.clone())
            .with_schemas(schema(), schema())
            .with_batch(self.target)
            .with_ordered(self.ordered)
            .with_waker(Waker::from(self.bell.clone()))
            .with_runtime(Arc::new(move || Ok(handle.clone())))
    }

    pub(super) fn build<R: AsyncRows>(&self, rows: R, concurrency: usize) -> Concurrent<R> {
        Concurrent::new(rows, Limits::new(concurrency), &self.context()).unwrap()
    }

    /// Lets all tasks run that can.
    pub(super) fn pump(&self) {
        self.runtime.block_on(async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Drives the stage to its end by the contract alone.
    pub(super) fn drive(
        &self,
        stage: &mut dyn Transform,
        input: Vec<RecordBatch>,
        sink: &mut Sink,
    ) -> Result<()> {
        let mut input = input.into_iter();
        let mut ended = false;
        loop {
            let due = stage.wake_at();
            let rung = self.bell.0.swap(0, Ordering::SeqCst) > 0;
            if rung || due.is_some_and(|due| due <= self.clock.now()) {
                if ended { stage.finish(sink)? } else { stage.wake(sink)? }
            } else if !ended && stage.ready() {
                match input.next() {
                    Some(batch) => stage.process(batch, sink)?,
                    None => {
                        ended = true;
                        stage.finish(sink)?;
                    }
                }
            } else if ended && !stage.holding() {
                return Ok(());
            } else {
                self.pump();
                // Nobody rang, so only time can bring it on.
                if self.bell.0.load(Ordering::SeqCst) == 0 {
                    match stage.wake_at() {
                        Some(due) => *self.clock.0.lock().unwrap() = due,
                        None => self.runtime.block_on(async {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }),
                    }
                }
            }
        }
    }
}
