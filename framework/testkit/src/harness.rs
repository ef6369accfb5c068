//! The surroundings of a stage under test.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Error, Kind, Origins, Result, Role, Snapshot, Stage,
    SystemClock,
};
use serde_json::Value;

use crate::clock::SimClock;
use crate::conformance::narrow::Narrow;
use crate::driven::Driven;
use crate::signal::Signal;

/// Builds stages and drives them as a runner would, one call at a time.
///
/// Time is simulated: where a stage waits for a time, the clock goes on to it at once. A stage that
/// does async work, and so waits for the real world, wants [`Harness::real`].
#[derive(Clone)]
pub struct Harness {
    pub(crate) time: Time,
    pub(crate) batch: BatchTarget,
    pub(crate) patience: Duration,
    instance: usize,
    instances: usize,
    ordered: bool,
    origins: Arc<Origins>,
    restored: Snapshot,
    narrow: Option<Narrow>,
    pub(crate) runtime: Option<Arc<tokio::runtime::Runtime>>,
}

/// Which time it is.
#[derive(Clone)]
pub(crate) enum Time {
    Simulated(Arc<SimClock>),
    Real(Arc<SystemClock>),
}

impl Time {
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Simulated(clock) => Arc::clone(clock) as _,
            Self::Real(clock) => Arc::clone(clock) as _,
        }
    }
}

impl Harness {
    /// One worker with batches of the default size, in simulated time.
    #[expect(
        clippy::new_without_default,
        reason = "there are two ways to begin, and both have names"
    )]
    pub fn new() -> Self {
        Self {
            time: Time::Simulated(Arc::default()),
            batch: BatchTarget::default(),
            patience: Duration::from_secs(30),
            instance: 0,
            instances: 1,
            ordered: false,
            origins: Arc::default(),
            restored: Snapshot::Stateless,
            narrow: None,
            runtime: None,
        }
    }

    /// The same in real time and with a runtime for async work.
    ///
    /// # Errors
    /// When the threads of the runtime cannot be started.
    pub fn real() -> Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build()?;
        let time = Time::Real(Arc::new(SystemClock::start()));
        Ok(Self { time, runtime: Some(Arc::new(runtime)), ..Self::new() })
    }

    /// Sets the size that batches should have.
    #[must_use]
    pub fn with_batch(mut self, batch: BatchTarget) -> Self {
        self.batch = batch;
        self
    }

    /// Makes the stage worker `instance` of `instances`.
    #[must_use]
    pub fn with_instance(mut self, instance: usize, instances: usize) -> Self {
        (self.instance, self.instances) = (instance, instances);
        self
    }

    /// Asks for output in the order of the input.
    #[must_use]
    pub fn with_ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// Sets the addresses of the run.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.origins = Arc::new(origins);
        self
    }

    /// Sets the snapshot that stages built from now on go on from.
    #[must_use]
    pub fn with_restored(mut self, restored: Snapshot) -> Self {
        self.restored = restored;
        self
    }

    /// Leaves out columns that nobody wants, as far as the kind can do without them.
    #[must_use]
    pub(crate) fn with_narrow(mut self, narrow: Option<Narrow>) -> Self {
        self.narrow = narrow;
        self
    }

    /// Sets how long a stage may leave the harness without a sign of life before that counts as a
    /// breach. Real time; only to end a test that would hang.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The clock that stages are given.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.time.clock()
    }

    /// The simulated clock, if time is simulated.
    pub fn sim_clock(&self) -> Option<&SimClock> {
        match &self.time {
            Time::Simulated(clock) => Some(clock),
            Time::Real(_) => None,
        }
    }

    /// Plans and builds a stage of that kind.
    ///
    /// # Errors
    /// What planning or building says.
    pub fn build(
        &self,
        kind: &dyn Kind,
        options: &Value,
        input: Option<&SchemaRef>,
    ) -> Result<Driven> {
        let mut planned = kind.plan(options, input)?;
        let none = || Arc::new(Schema::empty());
        let signal = Arc::new(Signal::default());
        let mut input = input.cloned().unwrap_or_else(none);
        if let Some(narrow) = &self.narrow {
            input = narrow.input(&planned, &input);
            planned.output = narrow.output(&planned);
        }
        let mut context = self.context(&signal).with_schemas(input, Arc::clone(&planned.output));
        if let Some(runtime) = &self.runtime {
            let runtime = Arc::clone(runtime);
            context = context.with_runtime(Arc::new(move || Ok(runtime.handle().clone())));
        }
        let stage = kind.build(options, context)?;
        match (&stage, kind.role()) {
            (Stage::Source(_), Role::Source) => {}
            (Stage::Transform(_), Role::Transform | Role::Sink) => {}
            (_, role) => {
                let name = kind.name();
                return Err(Error::internal(format!(
                    "`{name}` is no {}, though it says so",
                    role.name()
                )));
            }
        }
        let sink = kind.role() == Role::Sink;
        let driven = Driven::new(self, stage, planned.output, sink, signal);
        Ok(driven.with_ports(planned.ports.len()))
    }

    /// Drives a stage that was built otherwise and that emits batches of `output`. Its context, if it
    /// has one, does not come from this harness: wakers and clocks do not reach it.
    pub fn start(&self, stage: Stage, output: SchemaRef) -> Driven {
        Driven::new(self, stage, output, false, Arc::default())
    }

    fn context(&self, signal: &Arc<Signal>) -> BuildContext {
        BuildContext::new("under-test", self.time.clock())
            .with_instance(self.instance, self.instances)
            .with_batch(self.batch)
            .with_ordered(self.ordered)
            .with_origins(Arc::clone(&self.origins))
            .with_restored(self.restored.clone())
            .with_waker(signal.waker())
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("batch", &self.batch).finish_non_exhaustive()
    }
}
