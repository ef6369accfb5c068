//! A stage that keeps some rows until the end of its input.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, ErrorKind, Output, Result, Snapshot, State, Transform,
};

use crate::best::{Best, Ranked};
use crate::ordered::{Ordered, Place};
use crate::plain::own;

/// Which rows are kept, and in which order they leave.
pub(crate) trait Rank: Send {
    /// The groups and keys of these rows. `numbers` are their places among all rows.
    fn rank(&mut self, batch: &RecordBatch, numbers: &[u64]) -> Result<Ranked>;

    /// The kept rows in the order in which they leave.
    fn order(&self, best: &Best) -> Result<Vec<Place>>;
}

/// Layout of the snapshot: the kept rows with their numbers, or rows that are ready.
const VERSION: u32 = 1;
const KEPT: &str = "kept";
const NUMBERS: &str = "numbers";
const READY: &str = "ready";

/// Keeps the best rows by a rank.
pub(crate) struct Keeping<R> {
    rank: R,
    schema: SchemaRef,
    batch: BatchTarget,
    state: Held,
}

enum Held {
    Best(Best),
    /// The input has ended; these leave.
    Ready(Ordered),
}

impl<R: Rank> Keeping<R> {
    /// Keeps `most` rows of each group.
    pub(crate) fn new(
        rank: R,
        most: usize,
        memory: ByteSize,
        context: &BuildContext,
    ) -> Result<Self> {
        let (schema, batch) = (Arc::clone(context.output()), context.batch());
        let best = Best::new(most, memory);
        let mut keeping = Self { rank, schema, batch, state: Held::Best(best) };
        if let Some(state) = context.restored().state(VERSION)? {
            keeping.restore(state)?;
        }
        Ok(keeping)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        if let Some(ready) = state.part(READY) {
            self.state = Held::Ready(Ordered::one(self.fitting(ready)?));
            return Ok(());
        }
        let numbers = state.part(NUMBERS).and_then(|part| part.columns().first());
        let numbers = numbers.and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let (come, numbers) =
            numbers.and_then(|numbers| numbers.values().split_last()).ok_or_else(unfit)?;
        let kept = state.part(KEPT).map(|kept| self.fitting(kept)).transpose()?;
        let kept = kept.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&self.schema)));
        if kept.num_rows() != numbers.len() {
            return Err(unfit());
        }
        if let Held::Best(best) = &mut self.state {
            let ranked = self.rank.rank(&kept, numbers)?;
            best.add(&kept, &ranked, numbers)?;
            best.set_come(*come);
        }
        Ok(())
    }

    fn fitting(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = rows.columns().to_vec();
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| unfit())
    }

    fn emit(&mut self, out: &mut dyn Output) -> Result<()> {
        match &mut self.state {
            Held::Ready(ready) => match ready.next(self.batch)? {
                Some(batch) => out.emit(batch),
                None => Ok(()),
            },
            Held::Best(_) => Ok(()),
        }
    }
}

impl<R: Rank> Transform for Keeping<R> {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        let Held::Best(best) = &mut self.state else {
            return Err(Error::internal("rows came after the end of the input"));
        };
        let batch = own(&batch, &self.schema)?;
        let come = best.come();
        let numbers: Vec<u64> = (come..come + batch.num_rows() as u64).collect();
        let ranked = self.rank.rank(&batch, &numbers)?;
        best.add(&batch, &ranked, &numbers)
    }

    fn ready(&self) -> bool {
        // One that goes on from the very end must still be told of it.
        !self.holding()
    }

    fn holding(&self) -> bool {
        matches!(&self.state, Held::Ready(ready) if !ready.is_empty())
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if let Held::Best(best) = &mut self.state {
            let order = self.rank.order(best)?;
            let batches = std::mem::replace(best, Best::new(0, ByteSize(0))).into_batches();
            self.state = Held::Ready(Ordered::new(batches, order));
        }
        self.emit(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let best = match &self.state {
            Held::Best(best) => best,
            Held::Ready(ready) => {
                let none = || RecordBatch::new_empty(Arc::clone(&self.schema));
                let rows = ready.rest()?.unwrap_or_else(none);
                return Ok(Snapshot::parts(VERSION, vec![(READY.to_owned(), rows)]));
            }
        };
        let (rows, mut numbers) = best.by_arrival()?.unzip();
        let numbers = numbers.get_or_insert_default();
        numbers.push(best.come());
        let numbers: ArrayRef = Arc::new(UInt64Array::from(std::mem::take(numbers)));
        let numbers = RecordBatch::try_from_iter([(NUMBERS, numbers)])?;
        let rows = rows.map(|rows| (KEPT.to_owned(), rows));
        let parts = rows.into_iter().chain([(NUMBERS.to_owned(), numbers)]);
        Ok(Snapshot::parts(VERSION, parts.collect()))
    }
}

fn unfit() -> Error {
    Error::new(ErrorKind::Restore, "the snapshot was made with other columns")
}
