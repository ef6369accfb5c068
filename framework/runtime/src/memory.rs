//! Stages for programs that embed Gristmill: rows from memory, and rows into memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Kind, Next, Output, Planned, Result, Role, Source, Stage, Transform,
};
use serde_json::{Value, json};

/// Collects what a pipeline puts out. Add [`Collect::kind`] to the registry and use its name as the
/// `type` of a sink.
#[derive(Debug, Clone)]
pub struct Collect {
    name: String,
    batches: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Collect {
    /// A collector that is known under this name. Each stage of this kind puts its rows here.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), batches: Arc::default() }
    }

    /// The kind for the registry.
    pub fn kind(&self) -> Arc<dyn Kind> {
        Arc::new(self.clone())
    }

    /// What was collected so far; the collector is empty afterwards.
    pub fn take(&self) -> Vec<RecordBatch> {
        std::mem::take(&mut *lock(&self.batches))
    }
}

/// Starts a pipeline with batches from memory. Add [`Feed::kind`] to the registry and use its name
/// as the `type` of a source.
#[derive(Debug, Clone)]
pub struct Feed {
    name: String,
    schema: SchemaRef,
    batches: Arc<Vec<RecordBatch>>,
}

impl Feed {
    /// A source of these batches, known under this name. With several workers each emits its share.
    ///
    /// # Errors
    /// When a batch is not of the schema.
    pub fn new(
        name: impl Into<String>,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Self> {
        if let Some(other) = batches.iter().find(|batch| batch.schema_ref() != &schema) {
            let schema = other.schema();
            return Err(Error::schema(format!("a batch has another schema: {schema}")));
        }
        Ok(Self { name: name.into(), schema, batches: Arc::new(batches) })
    }

    /// The kind for the registry.
    pub fn kind(&self) -> Arc<dyn Kind> {
        Arc::new(self.clone())
    }
}

fn lock(batches: &Mutex<Vec<RecordBatch>>) -> MutexGuard<'_, Vec<RecordBatch>> {
    batches.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_options() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

impl Kind for Collect {
    fn name(&self) -> &str {
        &self.name
    }

    fn summary(&self) -> &str {
        "Keeps all rows in memory for the program that embeds the pipeline."
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn example(&self) -> &str {
        "type: collect"
    }

    fn input(&self) -> &str {
        "any columns"
    }

    fn output(&self) -> &str {
        "none"
    }

    fn options(&self) -> Value {
        no_options()
    }

    fn plan(&self, _: &Value, _: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::sink())
    }

    fn build(&self, _: &Value, _: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Collector(self.batches.clone())))
    }
}

struct Collector(Arc<Mutex<Vec<RecordBatch>>>);

impl Transform for Collector {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        lock(&self.0).push(batch);
        Ok(())
    }
}

impl Kind for Feed {
    fn name(&self) -> &str {
        &self.name
    }

    fn summary(&self) -> &str {
        "Emits rows from the memory of the program that embeds the pipeline."
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn example(&self) -> &str {
        "type: feed"
    }

    fn input(&self) -> &str {
        "none"
    }

    fn output(&self) -> &str {
        "the columns of the batches"
    }

    fn options(&self) -> Value {
        no_options()
    }

    fn plan(&self, _: &Value, _: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::emits(self.schema.clone()))
    }

    fn build(&self, _: &Value, context: BuildContext) -> Result<Stage> {
        let next = context.instance();
        Ok(Stage::source(Feeder { batches: self.batches.clone(), next, step: context.instances() }))
    }
}

struct Feeder {
    batches: Arc<Vec<RecordBatch>>,
    next: usize,
    step: usize,
}

impl Source for Feeder {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let Some(batch) = self.batches.get(self.next) else { return Ok(Next::Done) };
        out.emit(batch.clone())?;
        self.next += self.step;
        Ok(Next::Now)
    }
}
