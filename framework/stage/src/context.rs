//! What a stage is told when it is built.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use arrow_schema::{Schema, SchemaRef};

use crate::{Comparison, Readings, Readout, Snapshot};

/// The time of a run. Simulated in tests, so stages take it from here and nowhere else.
pub trait Clock: Send + Sync {
    /// Time since the run began; never goes back.
    fn now(&self) -> Duration;
    /// The time of day.
    fn wall(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// How large the batches that a stage emits should be. A target, not a limit for single rows: one
/// row that is larger goes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchTarget {
    /// Rows in a batch, at the most.
    pub rows: usize,
    /// Bytes in a batch, about.
    pub bytes: usize,
}

impl Default for BatchTarget {
    fn default() -> Self {
        Self { rows: 8192, bytes: 8 << 20 }
    }
}

/// Addresses that exist only during this run, by scheme: `demo:` stands for the demo site.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, String>);

impl Origins {
    /// Makes `scheme:` stand for `base` (`http://127.0.0.1:4711`).
    pub fn add(&mut self, scheme: impl Into<String>, base: impl Into<String>) {
        self.0.insert(scheme.into(), base.into());
    }

    /// Each scheme with its base.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(scheme, base)| (scheme.as_str(), base.as_str()))
    }

    /// The address to use for `url`: `demo:/item/1` becomes `http://127.0.0.1:4711/item/1`, others
    /// stay as they are.
    pub fn resolve<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let Some((scheme, rest)) = url.split_once(':') else { return Cow::Borrowed(url) };
        match self.0.get(scheme) {
            None => Cow::Borrowed(url),
            Some(base) if rest.starts_with('/') => Cow::Owned(format!("{base}{rest}")),
            Some(base) => Cow::Owned(format!("{base}/{rest}")),
        }
    }
}

/// Blanks out the secrets in a text.
pub type Redact = dyn Fn(&str) -> String + Send + Sync;

/// What one worker of a stage is told when it is built.
///
/// A runner makes it with [`BuildContext::new`] and the `with_…` calls; a stage only reads it.
#[derive(Clone)]
pub struct BuildContext {
    stage: String,
    instance: usize,
    instances: usize,
    input: SchemaRef,
    output: SchemaRef,
    hints: Vec<Comparison>,
    batch: BatchTarget,
    ordered: bool,
    restored: Snapshot,
    resumable: bool,
    waker: Waker,
    clock: Arc<dyn Clock>,
    origins: Arc<Origins>,
    redact: Option<Arc<Redact>>,
    readings: Option<Arc<Readings>>,
    #[cfg(feature = "async")]
    runtime: Option<Arc<dyn Fn() -> crate::Result<tokio::runtime::Handle> + Send + Sync>>,
}

impl BuildContext {
    /// The context of the only worker of a stage without input, with nothing to restore.
    pub fn new(stage: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            stage: stage.into(),
            instance: 0,
            instances: 1,
            input: Arc::new(Schema::empty()),
            output: Arc::new(Schema::empty()),
            hints: Vec::new(),
            batch: BatchTarget::default(),
            ordered: false,
            restored: Snapshot::Stateless,
            resumable: true,
            waker: Waker::noop().clone(),
            clock,
            origins: Arc::default(),
            redact: None,
            readings: None,
            #[cfg(feature = "async")]
            runtime: None,
        }
    }

    /// Makes it worker `instance` of `instances`.
    #[must_use]
    pub fn with_instance(mut self, instance: usize, instances: usize) -> Self {
        self.instance = instance;
        self.instances = instances;
        self
    }

    /// Sets the schemas of input and output, as planned.
    #[must_use]
    pub fn with_schemas(mut self, input: SchemaRef, output: SchemaRef) -> Self {
        self.input = input;
        self.output = output;
        self
    }

    /// Sets the comparisons without which its rows make no difference.
    #[must_use]
    pub fn with_hints(mut self, hints: Vec<Comparison>) -> Self {
        self.hints = hints;
        self
    }

    /// Sets the size that emitted batches should have.
    #[must_use]
    pub fn with_batch(mut self, batch: BatchTarget) -> Self {
        self.batch = batch;
        self
    }

    /// Asks for output in the order of the input.
    #[must_use]
    pub fn with_ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// Sets the snapshot to go on from.
    #[must_use]
    pub fn with_restored(mut self, restored: Snapshot) -> Self {
        self.restored = restored;
        self
    }

    /// Says whether another run may go on from the snapshots of this one.
    #[must_use]
    pub fn with_resumable(mut self, resumable: bool) -> Self {
        self.resumable = resumable;
        self
    }

    /// Sets what the stage wakes to be called again.
    #[must_use]
    pub fn with_waker(mut self, waker: Waker) -> Self {
        self.waker = waker;
        self
    }

    /// Sets the addresses of this run.
    #[must_use]
    pub fn with_origins(mut self, origins: Arc<Origins>) -> Self {
        self.origins = origins;
        self
    }

    /// Sets what blanks out secrets.
    #[must_use]
    pub fn with_redact(mut self, redact: Arc<Redact>) -> Self {
        self.redact = Some(redact);
        self
    }

    /// Sets where its readings are kept.
    #[must_use]
    pub fn with_readings(mut self, readings: Arc<Readings>) -> Self {
        self.readings = Some(readings);
        self
    }

    /// Sets where the runtime for async work comes from. It is asked only if the stage asks.
    #[cfg(feature = "async")]
    #[must_use]
    pub fn with_runtime(
        mut self,
        runtime: Arc<dyn Fn() -> crate::Result<tokio::runtime::Handle> + Send + Sync>,
    ) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The name of the stage in the pipeline.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// Which worker this is, from 0.
    pub fn instance(&self) -> usize {
        self.instance
    }

    /// How many workers the stage has.
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// The schema of the batches that come in; no columns for a source.
    pub fn input(&self) -> &SchemaRef {
        &self.input
    }

    /// The planned schema of the batches to emit. It can have fewer columns than the kind planned if
    /// it told its [`Lineage`](crate::Lineage).
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Comparisons of output columns: rows for which one of them is not true make no difference
    /// further on and may be left out. Given to a kind that [asked](crate::Planned::takes_hints).
    pub fn hints(&self) -> &[Comparison] {
        &self.hints
    }

    /// How large emitted batches should be.
    pub fn batch(&self) -> BatchTarget {
        self.batch
    }

    /// Whether output must come in the order of the input.
    pub fn ordered(&self) -> bool {
        self.ordered
    }

    /// The state to go on from.
    pub fn restored(&self) -> &Snapshot {
        &self.restored
    }

    /// Whether another run may go on from the snapshots of this one. If not, snapshots serve this run
    /// alone, and what they name (a file aside) is to be removed when the stage is dropped.
    pub fn resumable(&self) -> bool {
        self.resumable
    }

    /// Wakes the stage: its [`wake`](crate::Transform::wake) or [`poll`](crate::Source::poll) is
    /// called soon after. May be used from any thread, any number of times.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The clock of the run.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The addresses that exist only during this run.
    pub fn origins(&self) -> &Arc<Origins> {
        &self.origins
    }

    /// The text without the secrets of the pipeline. For whatever a stage shows to people; rows that
    /// it emits, errors and reasons need no care.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.redact {
            Some(redact) => Cow::Owned(redact(text)),
            None => Cow::Borrowed(text),
        }
    }

    /// What blanks out secrets, if there are any.
    pub fn redactor(&self) -> Option<&Arc<Redact>> {
        self.redact.as_ref()
    }

    /// Where the stage sets one of the readings that its kind has declared
    /// ([`StageSpec::READINGS`](crate::StageSpec::READINGS)). Where nobody listens, setting it does
    /// nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when the kind has not declared it.
    pub fn reading(&self, name: &str) -> crate::Result<Readout> {
        match &self.readings {
            Some(readings) => readings.readout(name),
            None => Ok(Readout::default()),
        }
    }

    /// The runtime for the stage's async work. Ask while the stage is built, and keep it. Spawn on
    /// it; never block on it.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when the runner has none to give, or the
    /// stage was built already.
    #[cfg(feature = "async")]
    pub fn runtime(&self) -> crate::Result<tokio::runtime::Handle> {
        match &self.runtime {
            Some(runtime) => runtime(),
            None => Err(crate::Error::internal("this runner has no runtime for async stages")),
        }
    }
}

impl fmt::Debug for BuildContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildContext")
            .field("stage", &self.stage)
            .field("instance", &self.instance)
            .field("instances", &self.instances)
            .field("ordered", &self.ordered)
            .finish_non_exhaustive()
    }
}
