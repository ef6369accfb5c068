//! A stage that is being driven.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BatchTarget, Clock, Error, ErrorKind, Next, Output, Result, Snapshot, Source, Stage, Transform,
};

use crate::collected::{Collected, Recorder, bytes};
use crate::harness::{Harness, Time};
use crate::signal::Signal;

/// Calls without any row going in or out after which a stage counts as stuck.
const IDLE_CALLS: usize = 100_000;

/// A stage and what came out of it so far. A panic of the stage becomes an error.
pub struct Driven {
    stage: Stage,
    schema: SchemaRef,
    outputs: usize,
    sink: bool,
    signal: Arc<Signal>,
    time: Time,
    clock: Arc<dyn Clock>,
    batch: BatchTarget,
    patience: Duration,
    collected: Collected,
    /// Alive for as long as the stage is, which may outlive its harness.
    _runtime: Option<Arc<tokio::runtime::Runtime>>,
}

impl Driven {
    pub(crate) fn new(
        harness: &Harness,
        stage: Stage,
        schema: SchemaRef,
        sink: bool,
        signal: Arc<Signal>,
    ) -> Self {
        Self {
            stage,
            schema,
            outputs: 1,
            sink,
            signal,
            time: harness.time.clone(),
            clock: harness.time.clock(),
            batch: harness.batch,
            patience: harness.patience,
            collected: Collected::default(),
            _runtime: harness.runtime.clone(),
        }
    }

    /// Says how many outputs the stage has named.
    pub(crate) fn with_ports(mut self, ports: usize) -> Self {
        self.outputs = ports.max(1);
        self
    }

    /// What came out so far.
    pub fn collected(&self) -> &Collected {
        &self.collected
    }

    /// What came out.
    pub fn into_collected(self) -> Collected {
        self.collected
    }

    /// The planned schema of what is emitted.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Polls a source to its end.
    ///
    /// # Errors
    /// What the source says, or that it is stuck.
    pub fn run_source(&mut self) -> Result<()> {
        while self.poll()? {}
        Ok(())
    }

    /// Gives a transform or a sink these batches and then the end of its input.
    ///
    /// # Errors
    /// What the stage says, or that it is stuck.
    pub fn run_transform(&mut self, batches: impl IntoIterator<Item = RecordBatch>) -> Result<()> {
        for batch in batches {
            if !self.process(batch)? {
                break;
            }
        }
        self.finish()
    }

    /// Polls a source once, and then waits until it wants to be polled again. False at its end.
    ///
    /// # Errors
    /// What the source says, or that it is stuck.
    pub fn poll(&mut self) -> Result<bool> {
        let mut idle = 0;
        loop {
            let before = self.progress();
            let next = self.call("poll", None, |stage, out| source(stage)?.poll(out))?;
            match next {
                Next::Done => return Ok(false),
                Next::Now => {}
                Next::At(time) => self.wait(Some(time), "poll")?,
                Next::Wait => self.wait(None, "poll")?,
            }
            if self.progress() > before {
                return Ok(true);
            }
            idle += 1;
            self.check_idle(idle, "poll")?;
        }
    }

    /// Gives a transform a batch, as soon as it takes one. False, and the batch is gone, when it needs
    /// no more input.
    ///
    /// # Errors
    /// What the stage says, or that it is stuck.
    pub fn process(&mut self, batch: RecordBatch) -> Result<bool> {
        self.wake_if_due()?;
        let mut idle = 0;
        while !self.transform()?.done() && !self.transform()?.ready() {
            idle += 1;
            self.check_idle(idle, "ready")?;
            self.wait_and_wake("ready")?;
        }
        if self.transform()?.done() {
            return Ok(false);
        }
        let given = (batch.num_rows(), bytes(&batch));
        self.call("process", Some(given), |stage, out| transform(stage)?.process(batch, out))?;
        Ok(true)
    }

    /// Tells a transform that its input is at its end, and drives it until it holds nothing more.
    ///
    /// # Errors
    /// What the stage says, or that it is stuck.
    pub fn finish(&mut self) -> Result<()> {
        while self.finish_once()? {}
        Ok(())
    }

    /// One call of `finish` and, while the stage is holding rows, one of `wake` after the wait for it.
    /// False when all is out.
    ///
    /// # Errors
    /// What the stage says, or that it is stuck.
    pub fn finish_once(&mut self) -> Result<bool> {
        let mut idle = 0;
        loop {
            let before = self.progress();
            self.call("finish", None, |stage, out| transform(stage)?.finish(out))?;
            if !self.transform()?.holding() {
                return Ok(false);
            }
            self.wait_and_wake("holding")?;
            if self.progress() > before {
                return Ok(true);
            }
            idle += 1;
            self.check_idle(idle, "holding")?;
        }
    }

    /// Whether nothing can happen to a stage that was just built: it takes no input, so that it does
    /// not hear of the end of it either, and nothing wakes it.
    pub(crate) fn is_stuck(&self) -> bool {
        match &self.stage {
            Stage::Source(_) => false,
            Stage::Transform(stage) => {
                let asleep = !stage.holding() && stage.wake_at().is_none();
                asleep && !stage.ready() && !stage.done()
            }
        }
    }

    /// What the stage would go on from.
    ///
    /// # Errors
    /// What the stage says.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.guard("snapshot", |stage| match stage {
            Stage::Source(source) => source.snapshot(),
            Stage::Transform(transform) => transform.snapshot(),
        })
    }

    /// Tells the stage that the snapshot of that epoch is durable.
    ///
    /// # Errors
    /// What the stage says.
    pub fn committed(&mut self, epoch: u64) -> Result<()> {
        self.guard("committed", |stage| match stage {
            Stage::Source(source) => source.committed(epoch),
            Stage::Transform(transform) => transform.committed(epoch),
        })
    }

    /// Tells a source that the run is to end. Whether it must be polled on until it is done.
    ///
    /// # Errors
    /// What the source says.
    pub fn stop(&mut self) -> Result<bool> {
        self.guard("stop", |stage| source(stage)?.stop())
    }

    /// Calls `wake` while its time has come or its waker was woken.
    ///
    /// # Errors
    /// What the stage says, or that it is stuck.
    pub fn wake_if_due(&mut self) -> Result<()> {
        let mut idle = 0;
        loop {
            let now = self.clock.now();
            let due = self.transform()?.wake_at().is_some_and(|time| time <= now);
            if !self.signal.take() && !due {
                return Ok(());
            }
            let before = self.progress();
            self.call("wake", None, |stage, out| transform(stage)?.wake(out))?;
            idle = if self.progress() > before { 0 } else { idle + 1 };
            self.check_idle(idle, "wake_at")?;
        }
    }

    fn wait_and_wake(&mut self, why: &str) -> Result<()> {
        let time = self.transform()?.wake_at();
        self.wait(time, why)?;
        self.call("wake", None, |stage, out| transform(stage)?.wake(out))
    }

    /// Waits until `time`, or until the waker was woken.
    fn wait(&mut self, time: Option<Duration>, why: &str) -> Result<()> {
        if self.signal.take() {
            return Ok(());
        }
        match (time, &self.time) {
            (Some(time), Time::Simulated(clock)) => {
                clock.set(time);
                return Ok(());
            }
            (Some(time), Time::Real(clock)) => {
                let span = time.saturating_sub(clock.now());
                if span <= self.patience {
                    self.signal.wait(span);
                    return Ok(());
                }
            }
            (None, _) => {}
        }
        if self.signal.wait(self.patience) {
            return Ok(());
        }
        Err(stuck(format!("after `{why}` it waits to be woken, and nothing wakes it")))
    }

    /// Rows that came out so far.
    fn progress(&self) -> usize {
        self.collected.batches.len() + self.collected.rejected.len()
    }

    fn check_idle(&self, idle: usize, why: &str) -> Result<()> {
        if idle < IDLE_CALLS {
            return Ok(());
        }
        Err(stuck(format!("`{why}` asks to be called again and again, and nothing comes out")))
    }

    fn transform(&mut self) -> Result<&mut dyn Transform> {
        transform(&mut self.stage)
    }

    fn call<T>(
        &mut self,
        name: &str,
        given: Option<(usize, usize)>,
        call: impl FnOnce(&mut Stage, &mut dyn Output) -> Result<T>,
    ) -> Result<T> {
        let mut out = Recorder::new(&mut self.collected, &self.schema, self.sink, self.outputs);
        let result = unpanicked(name, || call(&mut self.stage, &mut out));
        out.end(name, self.batch, given.as_ref());
        result
    }

    fn guard<T>(&mut self, name: &str, call: impl FnOnce(&mut Stage) -> Result<T>) -> Result<T> {
        unpanicked(name, || call(&mut self.stage))
    }
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").field("collected", &self.collected).finish_non_exhaustive()
    }
}

fn source(stage: &mut Stage) -> Result<&mut dyn Source> {
    match stage {
        Stage::Source(source) => Ok(source.as_mut()),
        Stage::Transform(_) => Err(Error::internal("a transform has no `poll`")),
    }
}

fn transform(stage: &mut Stage) -> Result<&mut dyn Transform> {
    match stage {
        Stage::Transform(transform) => Ok(transform.as_mut()),
        Stage::Source(_) => Err(Error::internal("a source takes no input")),
    }
}

fn stuck(why: String) -> Error {
    Error::internal(format!("the stage is stuck: {why}"))
}

/// Runs `call`; a panic in it becomes an error.
pub(crate) fn unpanicked<T>(name: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "something that is no text".to_owned());
        Err(Error::new(ErrorKind::Panic, format!("`{name}` panicked: {text}")))
    })
}
