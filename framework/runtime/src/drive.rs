//! The loop around a stage, without anything it could wait on: an event goes in, actions come out,
//! and with them what the stage needs next. The executors do the waiting and the sending.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{Cause, Error, ErrorKind, Next, Output, Result, Snapshot, Stage};

/// What happened to a worker.
#[derive(Debug)]
pub enum Event {
    /// A source may go on, a time has come, or the stage's waker was woken.
    Wake,
    /// A batch came in. Only when [`Need::input`] was true.
    Batch(RecordBatch),
    /// All inputs are at their end.
    InputEnded,
    /// A source must stop; what it has emitted stays, and what it has taken for good comes out.
    /// Not once [`Driver::is_stopped`].
    Stop,
}

/// What a stage did during one call, in order.
#[derive(Debug)]
pub enum Action {
    /// It handed on a batch.
    Emit {
        /// The output that it leaves by.
        port: usize,
        /// The rows.
        batch: RecordBatch,
    },
    /// It rejected rows.
    Reject {
        /// The rows as they came in.
        rows: RecordBatch,
        /// The class of the reason.
        cause: Cause,
        /// Why.
        reason: String,
    },
}

/// What a worker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// A batch, or the end of the input.
    pub input: bool,
    /// This time on the clock of the run.
    pub at: Option<Duration>,
    /// Whether rows taken in will still come out by themselves.
    pub holding: bool,
    /// Nothing any more: the worker is at its end.
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Finishing,
    Ended,
}

/// One worker of a stage.
pub struct Driver {
    stage: Stage,
    phase: Phase,
    next: Next,
    stopped: bool,
    input: SchemaRef,
    output: SchemaRef,
    outputs: usize,
    sink: bool,
}

impl Driver {
    /// A worker that was just built. It is given batches of `input` and must emit batches of
    /// `output`, or none if it is a sink.
    pub fn new(stage: Stage, input: SchemaRef, output: SchemaRef, sink: bool) -> Self {
        let (phase, next, stopped, outputs) = (Phase::Running, Next::Now, false, 1);
        Self { stage, phase, next, stopped, input, output, outputs, sink }
    }

    /// Says how many outputs the stage has named; one that names none has one.
    #[must_use]
    pub fn with_ports(mut self, ports: usize) -> Self {
        self.outputs = ports.max(1);
        self
    }

    /// What the worker needs before any event.
    ///
    /// # Errors
    /// When the stage panics.
    pub fn first_need(&self) -> Result<Need> {
        guarded(|| Ok(self.need()))
    }

    /// Whether it was told to stop already.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn need(&self) -> Need {
        let nothing = Need { input: false, at: None, holding: false, ended: false };
        if self.phase == Phase::Ended {
            return Need { ended: true, ..nothing };
        }
        match &self.stage {
            Stage::Source(_) => Need {
                at: match self.next {
                    Next::Now => Some(Duration::ZERO),
                    Next::At(time) => Some(time),
                    Next::Wait | Next::Done => None,
                },
                ..nothing
            },
            Stage::Transform(transform) => Need {
                input: self.phase == Phase::Running && !transform.done() && transform.ready(),
                at: match self.phase {
                    // Done before any input: a wake brings it to its end.
                    Phase::Running if transform.done() => Some(Duration::ZERO),
                    _ => transform.wake_at(),
                },
                holding: transform.holding(),
                ended: false,
            },
        }
    }

    /// Lets the stage act on an event. What it emits and rejects is appended to `actions`; the
    /// caller sends all of it before the next call.
    ///
    /// # Errors
    /// What the stage returns; a panic and a broken promise of the stage are errors, too. After an
    /// error the worker must not be called again.
    pub fn drive(&mut self, event: Event, actions: &mut Vec<Action>) -> Result<Need> {
        let Self { stage, phase, next, stopped, input, output, outputs, sink } = self;
        let mut out = Recorder { actions, output, outputs: *outputs, sink: *sink };
        guarded(|| match stage {
            Stage::Source(source) => {
                *next = match event {
                    Event::Stop => {
                        *stopped = true;
                        if source.stop()? { Next::Now } else { Next::Done }
                    }
                    _ => source.poll(&mut out)?,
                };
                if *next == Next::Done {
                    *phase = Phase::Ended;
                }
                Ok(())
            }
            Stage::Transform(transform) => {
                match event {
                    Event::Batch(batch) => {
                        // Of several inputs, one may have nulls where another has none.
                        let batch = as_planned(batch, input, "the stage was given")?;
                        transform.process(batch, &mut out)?;
                    }
                    Event::Wake => transform.wake(&mut out)?,
                    Event::InputEnded | Event::Stop => *phase = Phase::Finishing,
                }
                if *phase == Phase::Running && transform.done() {
                    *phase = Phase::Finishing;
                }
                if *phase == Phase::Finishing {
                    transform.finish(&mut out)?;
                    if !transform.holding() {
                        *phase = Phase::Ended;
                    }
                }
                Ok(())
            }
        })?;
        self.first_need()
    }

    /// What another worker needs to go on from here. Between two events.
    ///
    /// # Errors
    /// What the stage returns, or its panic.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        guarded(|| match &mut self.stage {
            Stage::Source(source) => source.snapshot(),
            Stage::Transform(transform) => transform.snapshot(),
        })
    }
}

/// Takes what a stage puts out, and holds the stage to its plan.
struct Recorder<'a> {
    actions: &'a mut Vec<Action>,
    output: &'a SchemaRef,
    outputs: usize,
    sink: bool,
}

impl Output for Recorder<'_> {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.emit_to(0, batch)
    }

    fn emit_to(&mut self, port: usize, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.sink {
            return Err(Error::internal("the stage is a sink, but emitted rows"));
        }
        if port >= self.outputs {
            let text = format!("the stage emitted rows by output {port} of {}", self.outputs);
            return Err(Error::internal(text));
        }
        let batch = as_planned(batch, self.output, "the stage emitted")?;
        self.actions.push(Action::Emit { port, batch });
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.reject_as(rows, Cause::default(), reason)
    }

    fn reject_as(&mut self, rows: RecordBatch, cause: Cause, reason: &str) -> Result<()> {
        if rows.num_rows() > 0 {
            self.actions.push(Action::Reject { rows, cause, reason: reason.to_owned() });
        }
        Ok(())
    }
}

/// The batch under the planned schema, so that all batches on an edge have the very same one.
fn as_planned(batch: RecordBatch, planned: &SchemaRef, what: &str) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), planned) || batch.schema_ref() == planned {
        return Ok(batch);
    }
    let schema = batch.schema();
    let names = |schema: &SchemaRef| {
        let fields: Vec<_> =
            schema.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect();
        fields.join(", ")
    };
    let same = schema.fields().len() == planned.fields().len()
        && schema
            .fields()
            .iter()
            .zip(planned.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
    if !same {
        return Err(Error::internal(format!(
            "{what} columns [{}], but its plan says [{}]",
            names(&schema),
            names(planned)
        )));
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(planned.clone(), batch.columns().to_vec(), &options)
        .map_err(|e| Error::internal(format!("{what} rows against its plan: {e}")))
}

/// Makes an error of a panic.
pub fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    // The stage is never called again after a panic, so no broken invariant of it can be seen.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(Error::new(ErrorKind::Panic, format!("the stage panicked: {}", panic_text(&*panic))))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
