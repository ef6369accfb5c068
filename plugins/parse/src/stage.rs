//! The stage: batches in, batches and rejected rows out.

use std::time::Duration;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, ErrorKind, Lineage, Output, Planned, Result, Role, Snapshot,
    Stage, StageSpec, Transform,
};

use crate::cells::{Cells, Misfit};
use crate::layout::Layout;
use crate::options::{OnError, Options};
use crate::text::{Raw, Texts};

/// The kind `parse`.
pub(crate) struct Parse;

impl StageSpec for Parse {
    type Options = Options;

    const KIND: &'static str = "parse";
    const SUMMARY: &'static str = "Turns a column of HTML, JSON or text into typed columns.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "\
name: items
type: parse
with:
  format: html
  fields:
    title: h1
    price: { css: .price, type: float64, pick: '[0-9.]+' }
    category: { css: '[data-category]', attr: data-category }
    links: { css: 'a[href]', attr: href, all: true }
";
    const INPUT: &'static str = "any; the parsed column is text or bytes";
    const OUTPUT: &'static str = "the kept columns, then a column for each field";

    fn plan(options: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::internal("parse was planned without an input"))?;
        let layout = Layout::new(options, input, None)?;
        let kept = layout.keep.iter().map(|index| input.field(*index).name());
        let lineage = kept.fold(Lineage::new(), Lineage::passes).needs([&layout.name]);
        Ok(Planned::emits(layout.output).lineage(lineage))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Parser::new(&options, &context)?))
    }
}

/// A row may give this many times `max_bytes` of values, since elements that lie in each other can
/// all be taken whole.
const ROW_FACTOR: u64 = 4;
/// Version of the snapshot, and the part in which it keeps the rest of a batch.
const VERSION: u32 = 1;
const REST: &str = "rest";

/// One worker.
struct Parser {
    layout: Layout,
    cells: Cells,
    lenient: bool,
    max_bytes: usize,
    target: BatchTarget,
    /// The batch whose rows are not all parsed yet, from this row on.
    rest: Option<(RecordBatch, usize)>,
}

impl Parser {
    fn new(options: &Options, context: &BuildContext) -> Result<Self> {
        let layout = Layout::new(options, context.input(), Some(context.output()))?;
        let lenient = options.on_error == OnError::Null;
        let max_bytes = usize::try_from(options.max_bytes.0).unwrap_or(usize::MAX);
        let row_limit = options.max_bytes.0.saturating_mul(ROW_FACTOR);
        let row_limit = usize::try_from(row_limit).unwrap_or(usize::MAX);
        let cells = Cells::new(layout.compiled.fields.clone(), row_limit, lenient);
        let rest = match context.restored().state(VERSION)? {
            None => None,
            Some(state) => {
                let rest = state.part(REST).filter(|rest| rest.schema() == *context.input());
                let rest = rest.ok_or_else(|| {
                    Error::new(ErrorKind::Restore, "the snapshot does not fit the input of parse")
                })?;
                Some((rest.clone(), 0))
            }
        };
        Ok(Self { layout, cells, lenient, max_bytes, target: context.batch(), rest })
    }

    /// Parses what is left of the batch until an output batch is full or its rows are at their end.
    fn work(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some((batch, from)) = self.rest.take() else {
            return Ok(());
        };
        let column = batch.column(self.layout.column).clone();
        let texts = Texts::new(&column)
            .ok_or_else(|| Error::internal("the parsed column is not of the planned type"))?;
        let mut rejects = Rejects { batch: &batch, group: None };
        let mut fits = Vec::with_capacity(batch.num_rows() - from);
        for row in from..batch.num_rows() {
            if self.is_full() {
                break;
            }
            let result = self.row(texts.get(row));
            fits.push(result.is_ok());
            if let Err(Misfit(reason)) = result {
                rejects.add(row, reason, out)?;
            }
        }
        rejects.flush(out)?;
        let next = from + fits.len();
        self.emit(&batch.slice(from, fits.len()), fits, out)?;
        if next < batch.num_rows() {
            self.rest = Some((batch, next));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.cells.rows() >= self.target.rows.max(1)
            || (self.cells.rows() > 0 && self.cells.size() >= self.target.bytes)
    }

    /// Parses one row: it is then added, or taken back.
    fn row(&mut self, raw: Option<Raw<'_>>) -> Result<(), Misfit> {
        let parsed = self.parse(raw).and_then(|()| self.cells.end_row());
        match parsed {
            Err(_) if self.lenient => {
                self.cells.null_row();
                Ok(())
            }
            Err(misfit) => {
                self.cells.take_back();
                Err(misfit)
            }
            Ok(()) => Ok(()),
        }
    }

    fn parse(&mut self, raw: Option<Raw<'_>>) -> Result<(), Misfit> {
        let Some(raw) = raw else {
            return Err(Misfit(format!("column `{}` is null", self.layout.name)));
        };
        if raw.len() > self.max_bytes {
            let (len, most) = (raw.len(), self.max_bytes);
            return Err(Misfit(format!(
                "the text has {len} bytes, more than `max_bytes` ({most})"
            )));
        }
        let extract = &mut self.layout.compiled.extract;
        let text = raw.decode(self.layout.charset, extract.declared());
        extract.extract(&text, &mut self.cells)
    }

    /// Emits the parsed rows beside the kept columns of the input rows that fit.
    fn emit(&mut self, input: &RecordBatch, fits: Vec<bool>, out: &mut dyn Output) -> Result<()> {
        if self.cells.rows() == 0 {
            return Ok(());
        }
        let kept = input.project(&self.layout.keep)?;
        let kept = match fits.contains(&false) {
            true => filter_record_batch(&kept, &BooleanArray::from(fits))?,
            false => kept,
        };
        let mut columns = kept.columns().to_vec();
        columns.extend(self.cells.take()?);
        out.emit(RecordBatch::try_new(self.layout.output.clone(), columns)?)
    }
}

impl Transform for Parser {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_some() {
            return Err(Error::internal("parse was given a batch while it was not ready"));
        }
        self.rest = Some((batch, 0));
        self.work(out)
    }

    fn ready(&self) -> bool {
        self.rest.is_none()
    }

    fn holding(&self) -> bool {
        self.rest.is_some()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.work(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.rest.is_some().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.work(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(match &self.rest {
            None => Snapshot::Stateless,
            Some((batch, from)) => {
                let rest = batch.slice(*from, batch.num_rows() - from);
                Snapshot::parts(VERSION, vec![(REST.to_owned(), rest)])
            }
        })
    }
}

/// Rejected rows; neighbours with the same reason go together.
struct Rejects<'a> {
    batch: &'a RecordBatch,
    /// First row, number of rows, reason.
    group: Option<(usize, usize, String)>,
}

impl Rejects<'_> {
    fn add(&mut self, row: usize, reason: String, out: &mut dyn Output) -> Result<()> {
        match &mut self.group {
            Some((first, rows, same)) if *first + *rows == row && *same == reason => *rows += 1,
            _ => {
                self.flush(out)?;
                self.group = Some((row, 1, reason));
            }
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut dyn Output) -> Result<()> {
        match self.group.take() {
            Some((first, rows, reason)) => out.reject(self.batch.slice(first, rows), &reason),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
