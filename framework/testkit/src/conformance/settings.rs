//! What to expect of a kind.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Origins};
use serde_json::Value;

type Effect = Arc<dyn Fn() -> Result<Vec<Value>, String>>;
type Watch = Arc<dyn Fn(&str, &str)>;

/// How a kind is checked. The default suits a stage without async work.
#[derive(Clone)]
pub struct Settings {
    pub(crate) ordered: bool,
    pub(crate) one_to_one: bool,
    pub(crate) real: bool,
    pub(crate) seeds: u64,
    pub(crate) large: usize,
    pub(crate) batch: BatchTarget,
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) ignored: Vec<String>,
    pub(crate) ignore_reasons: bool,
    pub(crate) no_restore: Option<String>,
    pub(crate) effect: Option<Effect>,
    pub(crate) origins: Origins,
    watch: Option<Watch>,
    /// What `watch` was told last.
    begun: Rc<RefCell<(String, String)>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ordered: false,
            one_to_one: false,
            real: false,
            seeds: 12,
            large: 0,
            batch: BatchTarget::default(),
            schema: None,
            ignored: Vec::new(),
            ignore_reasons: false,
            no_restore: None,
            effect: None,
            origins: Origins::default(),
            watch: None,
            begun: Rc::default(),
        }
    }
}

impl Settings {
    /// Rows in any order, simulated time, 12 seeds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows must come in the same order each time; the stage is asked for it.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Each row that goes in comes out as one row or is rejected.
    #[must_use]
    pub fn one_to_one(mut self) -> Self {
        self.one_to_one = true;
        self
    }

    /// The stage does async work: it gets a runtime, and time is real.
    #[must_use]
    pub fn real(mut self) -> Self {
        self.real = true;
        self
    }

    /// How many random runs each check makes.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Also gives the stage, or asks of a source, batches of so many rows: the input over and over.
    #[must_use]
    pub fn large(mut self, rows: usize) -> Self {
        self.large = rows;
        self
    }

    /// The size that batches should have where a check does not choose another.
    #[must_use]
    pub fn batch(mut self, batch: BatchTarget) -> Self {
        self.batch = batch;
        self
    }

    /// The schema of an input without batches.
    #[must_use]
    pub fn input_schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Columns of the output that differ from run to run: times, durations.
    #[must_use]
    pub fn ignore<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.ignored.extend(columns.into_iter().map(Into::into));
        self
    }

    /// The reasons for rejected rows may differ from run to run; only the rows are compared.
    #[must_use]
    pub fn ignore_reasons(mut self) -> Self {
        self.ignore_reasons = true;
        self
    }

    /// The stage cannot go on from a snapshot, because.
    #[must_use]
    pub fn without_restore(mut self, because: impl Into<String>) -> Self {
        self.no_restore = Some(because.into());
        self
    }

    /// For sinks: reads what a run has done to the world, as rows. Called after each run; these rows
    /// are compared along with those emitted.
    #[must_use]
    pub fn effect(mut self, read: impl Fn() -> Result<Vec<Value>, String> + 'static) -> Self {
        self.effect = Some(Arc::new(read));
        self
    }

    /// Is told before each run of the stage, and whenever another stage is built in it, which check that
    /// is for, and in what way. A stage that hangs or ends the process does it in the run that was named
    /// last.
    #[must_use]
    pub fn watch(mut self, watch: impl Fn(&str, &str) + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// A run of the stage begins.
    pub(crate) fn begin(&self, check: &str, how: &str) {
        if let Some(watch) = &self.watch {
            *self.begun.borrow_mut() = (check.to_owned(), how.to_owned());
            watch(check, how);
        }
    }

    /// Another stage is built in the same run.
    pub(crate) fn again(&self) {
        if let Some(watch) = &self.watch {
            let begun = self.begun.borrow();
            watch(&begun.0, &begun.1);
        }
    }

    /// The addresses of the run.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("ordered", &self.ordered)
            .field("one_to_one", &self.one_to_one)
            .field("real", &self.real)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}
