//! A transform that sees one row at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::convert::Reader;
use super::cut::{Cutter, Rows};
use crate::{
    BuildContext, Cause, Error, ErrorKind, Output, Result, Snapshot, Stage, State, Transform,
};

/// A transform of rows; [`stage`] makes a stage of it.
pub trait RowTransform: Send {
    /// A row that comes in. A column that may be null is an `Option`.
    type In: DeserializeOwned;
    /// A row that goes out.
    type Out: Serialize + Send;

    /// Takes a row. Rows to emit go into `out`.
    ///
    /// # Errors
    /// An error rejects this row, with the error as the reason; what it has put into `out` is taken
    /// back, and the next row comes. Two kinds end the run instead: [`ErrorKind::Closed`] and
    /// [`ErrorKind::Internal`].
    fn row(&mut self, row: Self::In, out: &mut Rows<Self::Out>) -> Result<()>;

    /// The input is at its end. Called once.
    ///
    /// # Errors
    /// An error ends the run.
    fn finish(&mut self, out: &mut Rows<Self::Out>) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// The state between rows, if any is kept; it comes back as
    /// [`restored`](BuildContext::restored) of the context that [`stage`] passes on. Rows that wait
    /// to go in or out are no concern of it.
    ///
    /// # Errors
    /// An error ends the run.
    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot::Stateless)
    }
}

/// Makes a stage of the [`RowTransform`] that `make` builds. The context that `make` sees has the
/// transform's own snapshot to restore.
///
/// # Errors
/// Those of `make`; [`ErrorKind::Restore`] when the snapshot is of another layout.
pub fn stage<R: RowTransform + 'static>(
    context: BuildContext,
    make: impl FnOnce(&BuildContext) -> Result<R>,
) -> Result<Stage> {
    let mut cutter = Cutter::new(&context);
    let restored = match context.restored().state(VERSION)? {
        None => Restored::default(),
        Some(state) => unpack(state)?,
    };
    restored.output.into_iter().for_each(|batch| cutter.put(batch));
    let context = context.with_restored(restored.own);
    Ok(Stage::transform(Adapter {
        rows: make(&context)?,
        input: restored.input,
        made: Rows::new(),
        cutter,
        finished: restored.finished,
    }))
}

/// Makes a stage of a closure that turns a row into a row. An `Err` rejects the row.
///
/// # Errors
/// See [`stage`].
pub fn map<I, O, F>(context: BuildContext, mut map: F) -> Result<Stage>
where
    I: DeserializeOwned + 'static,
    O: Serialize + Send + 'static,
    F: FnMut(I) -> Result<O> + Send + 'static,
{
    flat_map(context, move |row: I| map(row).map(Some))
}

/// Makes a stage of a closure that turns a row into any number of rows (an `Option`, a `Vec`, an
/// iterator). An `Err` rejects the row.
///
/// # Errors
/// See [`stage`].
pub fn flat_map<I, O, F>(context: BuildContext, map: F) -> Result<Stage>
where
    I: DeserializeOwned + 'static,
    O: IntoIterator + 'static,
    O::Item: Serialize + Send + 'static,
    F: FnMut(I) -> Result<O> + Send + 'static,
{
    stage(context, |_| Ok(Closure { map, types: std::marker::PhantomData }))
}

struct Closure<F, I, O> {
    map: F,
    types: std::marker::PhantomData<fn(I) -> O>,
}

impl<F, I, O> RowTransform for Closure<F, I, O>
where
    I: DeserializeOwned,
    O: IntoIterator,
    O::Item: Serialize + Send,
    F: FnMut(I) -> Result<O> + Send,
{
    type In = I;
    type Out = O::Item;

    fn row(&mut self, row: I, out: &mut Rows<O::Item>) -> Result<()> {
        out.extend((self.map)(row)?);
        Ok(())
    }
}

struct Adapter<R: RowTransform> {
    rows: R,
    /// Input that is not yet taken: its rows would have made too many at once.
    input: VecDeque<RecordBatch>,
    made: Rows<R::Out>,
    cutter: Cutter,
    /// Whether the transform has seen the end of the input.
    finished: bool,
}

impl<R: RowTransform> Adapter<R> {
    /// Takes input until a batch is full or the input is used up.
    fn take(&mut self, out: &mut dyn Output) -> Result<()> {
        while self.cutter.is_empty() && self.made.len() < self.cutter.rows() {
            let Some(batch) = self.input.pop_front() else { return Ok(()) };
            let next = self.take_from(&batch, out)?;
            if next < batch.num_rows() {
                self.input.push_front(batch.slice(next, batch.num_rows() - next));
            }
        }
        Ok(())
    }

    /// Takes rows of this batch; says which is the first that was not taken.
    fn take_from(&mut self, batch: &RecordBatch, out: &mut dyn Output) -> Result<usize> {
        let reader = Reader::new(batch)?;
        for row in 0..batch.num_rows() {
            if self.made.len() >= self.cutter.rows() {
                return Ok(row);
            }
            let before = self.made.len();
            let taken = reader.get(row).and_then(|item| self.rows.row(item, &mut self.made));
            match taken {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::Closed | ErrorKind::Internal) => {
                    return Err(e);
                }
                Err(e) => {
                    // A row is either rejected or comes out, never both.
                    self.made.truncate(before);
                    out.reject_as(batch.slice(row, 1), Cause::of(&e), &e.to_string())?;
                }
            }
        }
        Ok(batch.num_rows())
    }
}

impl<R: RowTransform> Transform for Adapter<R> {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        self.input.push_back(batch);
        self.wake(out)
    }

    fn ready(&self) -> bool {
        !self.holding()
    }

    fn holding(&self) -> bool {
        !(self.input.is_empty() && self.made.is_empty() && self.cutter.is_empty())
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.take(out)?;
        self.cutter.emit(&mut self.made, out).map(drop)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.holding() {
            self.wake(out)?;
        } else if !self.finished {
            self.finished = true;
            self.rows.finish(&mut self.made)?;
            self.cutter.emit(&mut self.made, out)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let own = self.rows.snapshot()?;
        let output = self.cutter.held(&mut self.made)?;
        if own == Snapshot::Stateless && !self.holding() && !self.finished {
            return Ok(Snapshot::Stateless);
        }
        let input: Vec<RecordBatch> = self.input.iter().cloned().collect();
        pack(own, input, output, self.finished)
    }
}

/// Layout of the snapshot: a `row-stage` part with the version of the transform's own state, then
/// its parts, then what is held.
const VERSION: u32 = 1;
const HEAD: &str = "row-stage";
const OWN: &str = "own/";
const INPUT: &str = "input/";
const OUTPUT: &str = "output/";

#[derive(Default)]
struct Restored {
    own: Snapshot,
    input: VecDeque<RecordBatch>,
    output: Vec<RecordBatch>,
    finished: bool,
}

fn pack(
    own: Snapshot,
    input: Vec<RecordBatch>,
    output: Vec<RecordBatch>,
    finished: bool,
) -> Result<Snapshot> {
    let (version, own) = match own {
        Snapshot::Stateless => (None, Vec::new()),
        Snapshot::State(state) => (Some(state.version), state.parts),
    };
    let head: [(&str, ArrayRef); 2] = [
        ("version", Arc::new(UInt32Array::from(vec![version]))),
        ("finished", Arc::new(BooleanArray::from(vec![finished]))),
    ];
    let mut parts = vec![(
        HEAD.to_owned(),
        RecordBatch::try_from_iter_with_nullable(head.map(|(name, column)| (name, column, true)))?,
    )];
    parts.extend(own.into_iter().map(|(name, batch)| (format!("{OWN}{name}"), batch)));
    let numbered = |prefix: &'static str, batches: Vec<RecordBatch>| {
        let named = move |(n, batch)| (format!("{prefix}{n}"), batch);
        batches.into_iter().enumerate().map(named)
    };
    parts.extend(numbered(INPUT, input));
    parts.extend(numbered(OUTPUT, output));
    Ok(Snapshot::parts(VERSION, parts))
}

fn unpack(state: &State) -> Result<Restored> {
    let wrong = || Error::new(ErrorKind::Restore, "the snapshot is not one of a stage of rows");
    let head = state.part(HEAD).filter(|head| head.num_rows() == 1).ok_or_else(wrong)?;
    let column = |n: usize| head.columns().get(n).map(|column| column.as_any());
    let version = column(0).and_then(|c| c.downcast_ref::<UInt32Array>()).ok_or_else(wrong)?;
    let finished = column(1).and_then(|c| c.downcast_ref::<BooleanArray>()).ok_or_else(wrong)?;
    let mut own = Vec::new();
    let mut restored = Restored { finished: finished.value(0), ..Restored::default() };
    for (name, batch) in &state.parts {
        if let Some(name) = name.strip_prefix(OWN) {
            own.push((name.to_owned(), batch.clone()));
        } else if name.starts_with(INPUT) {
            restored.input.push_back(batch.clone());
        } else if name.starts_with(OUTPUT) {
            restored.output.push(batch.clone());
        }
    }
    if version.is_valid(0) {
        restored.own = Snapshot::parts(version.value(0), own);
    }
    Ok(restored)
}
