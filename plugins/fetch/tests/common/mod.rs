//! A loop that drives a stage by its contract, and what it collects.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod server;

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;

use arrow_array::builder::{MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Origins, Output, Registry, Result, Snapshot, Stage,
    SystemClock, Transform,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub(crate) use server::in_every_way;
pub use server::{After, Asked, CERTIFICATE, Said, Server, Way, answer, ok, raw, tls};

/// Unparks the thread that drives the stage.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What came out of a stage.
#[derive(Default)]
pub struct Collected {
    pub batches: Vec<RecordBatch>,
    pub rejected: Vec<(RecordBatch, String)>,
}

impl Output for Collected {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.batches.push(batch);
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.rejected.push((rows, reason.to_owned()));
        Ok(())
    }
}

impl Collected {
    pub fn text(&self, column: &str) -> Vec<Option<String>> {
        self.all(column, |column| {
            column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
        })
    }

    /// The texts of a column that has no nulls.
    pub fn texts(&self, column: &str) -> Vec<String> {
        self.text(column).into_iter().map(|text| text.expect("not null")).collect()
    }

    pub fn int(&self, column: &str) -> Vec<Option<i32>> {
        self.all(column, |column| column.as_primitive::<Int32Type>().iter().collect())
    }

    pub fn long(&self, column: &str) -> Vec<Option<i64>> {
        self.all(column, |column| column.as_primitive::<Int64Type>().iter().collect())
    }

    pub fn header(&self, row: usize, name: &str) -> Vec<String> {
        let maps = self.all("headers", |column| {
            let map = column.as_map();
            (0..map.len()).map(|row| map.value(row)).collect()
        });
        let names = maps[row].column(0).as_string::<i32>();
        let values = maps[row].column(1).as_string::<i32>();
        (0..names.len())
            .filter(|&entry| names.value(entry) == name)
            .map(|entry| values.value(entry).to_owned())
            .collect()
    }

    fn all<T>(&self, column: &str, get: impl Fn(&ArrayRef) -> Vec<T>) -> Vec<T> {
        let columns = self.batches.iter().map(|batch| batch.column_by_name(column).expect(column));
        columns.flat_map(get).collect()
    }

    /// The reason of each rejected row.
    pub fn reasons(&self) -> Vec<String> {
        let rejected = self.rejected.iter();
        rejected.flat_map(|(rows, reason)| vec![reason.clone(); rows.num_rows()]).collect()
    }
}

/// A stage under test.
pub struct Bench {
    pub runtime: Arc<Runtime>,
    pub clock: Arc<dyn Clock>,
    pub origins: Origins,
    pub target: BatchTarget,
    pub ordered: bool,
    pub restored: Snapshot,
}

impl Bench {
    pub fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self {
            runtime: Arc::new(runtime),
            clock: Arc::new(SystemClock::start()),
            origins: Origins::default(),
            target: BatchTarget::default(),
            ordered: true,
            restored: Snapshot::Stateless,
        }
    }

    pub fn build(&self, options: &Value, input: &RecordBatch) -> Result<Box<dyn Transform>> {
        let mut registry = Registry::new();
        gristmill_fetch::register(&mut registry);
        let kind = registry.get("fetch").expect("it registers itself");
        let planned = kind.plan(options, Some(&input.schema()))?;
        let handle = self.runtime.handle().clone();
        let context = BuildContext::new("pages", self.clock.clone())
            .with_schemas(input.schema(), planned.output)
            .with_batch(self.target)
            .with_ordered(self.ordered)
            .with_restored(self.restored.clone())
            .with_origins(Arc::new(self.origins.clone()))
            .with_waker(Waker::from(Arc::new(Unpark(std::thread::current()))))
            .with_runtime(Arc::new(move || Ok(handle.clone())));
        match kind.build(options, context)? {
            Stage::Transform(stage) => Ok(stage),
            Stage::Source(_) => panic!("fetch is a transform"),
        }
    }

    /// Waits until the stage is woken or its time has come.
    pub fn wait(&self, stage: &dyn Transform) {
        match stage.wake_at() {
            None => std::thread::park(),
            Some(due) => std::thread::park_timeout(due.saturating_sub(self.clock.now())),
        }
    }

    /// Drives the stage to its end.
    pub fn drive(
        &self,
        stage: &mut dyn Transform,
        input: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<Collected> {
        let mut out = Collected::default();
        for batch in input {
            while !stage.ready() {
                self.wait(stage);
                stage.wake(&mut out)?;
            }
            stage.process(batch, &mut out)?;
        }
        stage.finish(&mut out)?;
        while stage.holding() {
            self.wait(stage);
            stage.finish(&mut out)?;
        }
        Ok(out)
    }

    /// Plans, builds and drives a stage; what comes out has the planned schema.
    pub fn run(&self, options: Value, input: RecordBatch) -> Collected {
        let mut stage = self.build(&options, &input).unwrap();
        let out = self.drive(&mut *stage, [input.clone()]).unwrap();
        let mut registry = Registry::new();
        gristmill_fetch::register(&mut registry);
        let planned = registry.get("fetch").unwrap().plan(&options, Some(&input.schema())).unwrap();
        assert!(out.batches.iter().all(|batch| batch.schema() == planned.output));
        out
    }
}

/// Fetches these addresses.
pub fn fetch<U: Into<String>>(options: Value, urls: impl IntoIterator<Item = U>) -> Collected {
    Bench::new().run(options, urls_batch(urls))
}

pub fn strings<U: Into<String>>(texts: impl IntoIterator<Item = U>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts.into_iter().map(Into::into)))
}

pub fn urls_batch<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RecordBatch {
    RecordBatch::try_from_iter([("url", strings(urls))]).unwrap()
}

pub fn header_column(rows: &[&[(&str, &str)]]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (name, value) in *row {
            builder.keys().append_value(name);
            builder.values().append_value(value);
        }
        builder.append(true).unwrap();
    }
    Arc::new(builder.finish())
}
