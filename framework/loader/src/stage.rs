//! One worker of a plugin, as the run sees it.

use std::ffi::c_void;
use std::ptr::null;
use std::sync::Arc;
use std::time::Duration;

use gristmill_abi::{
    Context, FailureBuffer, Kind as Table, NEVER, Next as When, OK, Text, export_batch,
    export_schema, next, plain_batch, plain_schema,
};
use gristmill_stage::arrow_array::RecordBatch;
use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Next, Output, Reading, Result, Snapshot, Source, Transform,
};

use crate::host::Run;
use crate::kind::gone;
use crate::options::OptionsTable;
use crate::output::Taker;
use crate::state::{RestoredTable, StateTaker};

/// A worker that a plugin has opened.
pub(crate) struct LoadedStage {
    table: Table,
    stage: *mut c_void,
    failure: FailureBuffer,
    /// The schema of the batches that the plugin is given.
    input: SchemaRef,
    /// Whether batches come with views, which do not cross.
    views: bool,
    output: SchemaRef,
    strict: bool,
    // Behind the stage, which is closed when this is dropped.
    _run: Arc<Run>,
}

// SAFETY: the interface says that calls may come from any thread, one at a time.
unsafe impl Send for LoadedStage {}

impl LoadedStage {
    /// Lets a kind with these readings open one worker.
    pub(crate) fn open(
        (table, readings): (&Table, &'static [Reading]),
        options: &OptionsTable,
        context: &BuildContext,
        strict: bool,
    ) -> Result<Self> {
        let Some(open) = table.open else { return Err(gone()) };
        let run = Run::new(readings, context)?;
        let plain = plain_schema(context.input())?;
        let views = plain.is_some();
        let input = plain.unwrap_or_else(|| Arc::clone(context.input()));
        let output = Arc::clone(context.output());
        let (taken, emitted) = (export_schema(&input)?, export_schema(&output)?);
        let restored = RestoredTable::new(context.restored())?;
        let json = |e| Error::internal(format!("a stage cannot be told of its run: {e}"));
        let hints = serde_json::to_string(context.hints()).map_err(json)?;
        let origins: serde_json::Map<_, _> = context
            .origins()
            .iter()
            .map(|(scheme, base)| (scheme.to_owned(), base.into()))
            .collect();
        let origins = serde_json::to_string(&origins).map_err(json)?;
        let told = Context {
            struct_size: size_of::<Context>(),
            stage: Text::new(context.stage()),
            instance: context.instance() as u64,
            instances: context.instances() as u64,
            input: if table.role == gristmill_abi::role::SOURCE {
                null()
            } else {
                &raw const taken
            },
            output: &raw const emitted,
            batch_rows: context.batch().rows as u64,
            batch_bytes: context.batch().bytes as u64,
            ordered: i32::from(context.ordered()),
            resumable: i32::from(context.resumable()),
            hints: Text::new(&hints),
            origins: Text::new(&origins),
            restored: restored.as_ref().map_or(null(), RestoredTable::table),
            host: run.table(),
        };
        let mut failure = FailureBuffer::new();
        let mut stage = std::ptr::null_mut();
        // SAFETY: all that the call is given lives until it returns, and the run beyond.
        let code =
            unsafe { open(options.table(), &raw const told, &raw mut stage, failure.ready()) };
        if code != OK {
            return Err(failure.error());
        }
        let table = *table;
        Ok(Self { table, stage, failure, input, views, output, strict, _run: run })
    }

    /// Makes a call in which rows may come out.
    fn act(
        &mut self,
        out: &mut dyn Output,
        call: impl FnOnce(&Table, *mut c_void, &gristmill_abi::Output, &mut FailureBuffer) -> i32,
    ) -> Result<()> {
        let Self { table, stage, failure, input, output, strict, .. } = self;
        let mut taker = Taker::new(out, output, input, *strict);
        let outlet = taker.table();
        let code = call(table, *stage, &outlet, failure);
        match (taker.error, code) {
            (Some(error), _) => Err(error),
            (None, OK) => Ok(()),
            (None, _) => Err(failure.error()),
        }
    }

    fn take_snapshot(&mut self) -> Result<Snapshot> {
        let Some(snapshot) = self.table.snapshot else { return Ok(Snapshot::Stateless) };
        let mut taker = StateTaker::default();
        let writer = taker.table();
        // SAFETY: the stage is open, and what the call is given lives until it returns.
        match unsafe { snapshot(self.stage, &raw const writer, self.failure.ready()) } {
            OK => taker.snapshot(),
            _ => Err(self.failure.error()),
        }
    }

    fn tell_committed(&mut self, epoch: u64) -> Result<()> {
        let Some(committed) = self.table.committed else { return Ok(()) };
        // SAFETY: the stage is open, and the failure lives until the call returns.
        match unsafe { committed(self.stage, epoch, self.failure.ready()) } {
            OK => Ok(()),
            _ => Err(self.failure.error()),
        }
    }

    fn ask(&self, call: Option<unsafe extern "C" fn(*mut c_void) -> i32>, instead: bool) -> bool {
        // SAFETY: the stage is open.
        call.map_or(instead, |call| unsafe { call(self.stage) } != 0)
    }
}

impl Drop for LoadedStage {
    fn drop(&mut self) {
        if let Some(close) = self.table.close {
            // SAFETY: the stage is open, and this is the last call.
            unsafe { close(self.stage) };
        }
    }
}

impl Transform for LoadedStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let batch = if self.views { plain_batch(&batch, &self.input)? } else { batch };
        let mut array = export_batch(batch);
        self.act(out, |table, stage, out, failure| match table.process {
            // SAFETY: the stage is open, the array is given away, and the rest lives until the call
            // returns.
            Some(process) => unsafe { process(stage, &raw mut array, out, failure.ready()) },
            None => OK,
        })
    }

    fn ready(&self) -> bool {
        self.ask(self.table.ready, true)
    }

    fn done(&self) -> bool {
        self.ask(self.table.done, false)
    }

    fn holding(&self) -> bool {
        self.ask(self.table.holding, false)
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.act(out, |table, stage, out, failure| match table.wake {
            // SAFETY: the stage is open, and what the call is given lives until it returns.
            Some(wake) => unsafe { wake(stage, out, failure.ready()) },
            None => OK,
        })
    }

    fn wake_at(&self) -> Option<Duration> {
        // SAFETY: the stage is open.
        let at = self.table.wake_at.map_or(NEVER, |wake_at| unsafe { wake_at(self.stage) });
        (at != NEVER).then(|| Duration::from_nanos(at))
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.act(out, |table, stage, out, failure| match table.finish {
            // SAFETY: the stage is open, and what the call is given lives until it returns.
            Some(finish) => unsafe { finish(stage, out, failure.ready()) },
            None => OK,
        })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.take_snapshot()
    }

    fn committed(&mut self, epoch: u64) -> Result<()> {
        self.tell_committed(epoch)
    }
}

impl Source for LoadedStage {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let mut when = When { when: next::DONE, reserved: 0, at: 0 };
        self.act(out, |table, stage, out, failure| match table.poll {
            // SAFETY: the stage is open, and what the call is given lives until it returns.
            Some(poll) => unsafe { poll(stage, out, &raw mut when, failure.ready()) },
            None => OK,
        })?;
        match when.when {
            next::NOW => Ok(Next::Now),
            next::AT => Ok(Next::At(Duration::from_nanos(when.at))),
            next::WAIT => Ok(Next::Wait),
            next::DONE => Ok(Next::Done),
            other => Err(Error::internal(format!("the plugin wants to be polled at {other}"))),
        }
    }

    fn stop(&mut self) -> Result<bool> {
        let Some(stop) = self.table.stop else { return Ok(false) };
        let mut more = 0;
        // SAFETY: the stage is open, and what the call is given lives until it returns.
        match unsafe { stop(self.stage, &raw mut more, self.failure.ready()) } {
            OK => Ok(more != 0),
            _ => Err(self.failure.error()),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.take_snapshot()
    }

    fn committed(&mut self, epoch: u64) -> Result<()> {
        self.tell_committed(epoch)
    }
}
