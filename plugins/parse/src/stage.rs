//! The stage: batches in, batches and rejected rows out.

mod rest;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use encoding_rs::Encoding;
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Error, Lineage, Output, Planned, Result, Role, Snapshot,
    Stage, StageSpec, Transform,
};

use self::rest::{Held, Rest};
use crate::cells::{Cells, Misfit};
use crate::charset::{Charset, Labels};
use crate::layout::Layout;
use crate::options::{OnError, Options};
use crate::text::{Raw, Texts};

/// The kind `parse`.
pub(crate) struct Parse;

impl StageSpec for Parse {
    type Options = Options;

    const KIND: &'static str = "parse";
    const SUMMARY: &'static str =
        "Turns a column of HTML, JSON, XML, log lines or other text into typed columns.";
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
        let lineage = kept.fold(Lineage::new(), Lineage::passes);
        let lineage = lineage.needs([&layout.name]).needs(&options.charset_column);
        let planned = Planned::emits(layout.output).lineage(lineage);
        Ok(match options.rows {
            // The rows of one text wait for their batches.
            Some(_) => planned.holds(options.max_bytes.0.saturating_mul(ROW_FACTOR)),
            None => planned,
        })
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Parser::new(&options, &context)?))
    }
}

/// A row may give this many times `max_bytes` of values, since elements that lie in each other can
/// all be taken whole. So may the rows of one text together.
const ROW_FACTOR: u64 = 4;

/// One worker.
struct Parser {
    layout: Layout,
    cells: Cells,
    lenient: bool,
    max_bytes: usize,
    guess: bool,
    target: BatchTarget,
    clock: Arc<dyn Clock>,
    /// The batch of which not all has come out yet.
    rest: Option<Rest>,
}

impl Parser {
    fn new(options: &Options, context: &BuildContext) -> Result<Self> {
        let layout = Layout::new(options, context.input(), Some(context.output()))?;
        let lenient = options.on_error == OnError::Null;
        let max_bytes = usize::try_from(options.max_bytes.0).unwrap_or(usize::MAX);
        let row_limit = options.max_bytes.0.saturating_mul(ROW_FACTOR);
        let row_limit = usize::try_from(row_limit).unwrap_or(usize::MAX);
        let cells = Cells::new(layout.compiled.fields.clone(), row_limit, lenient);
        let rest = Rest::restore(context.restored(), context.input())?;
        let (target, clock) = (context.batch(), context.clock().clone());
        let guess = options.guess_charset;
        Ok(Self { layout, cells, lenient, max_bytes, guess, target, clock, rest })
    }

    /// Parses what is left of the batch until an output batch is full or its rows are at their end,
    /// and hands that batch on.
    fn work(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(mut rest) = self.rest.take() else {
            return Ok(());
        };
        if rest.held.is_none() {
            self.fill(&mut rest, out)?;
        }
        if let Some(columns) = rest.take(&self.layout.keep, self.target)? {
            out.emit(RecordBatch::try_new(self.layout.output.clone(), columns)?)?;
        }
        if rest.held.is_some() || rest.next < rest.batch.num_rows() {
            self.rest = Some(rest);
        }
        Ok(())
    }

    /// Parses rows for an output batch. The rows of the last text may be more than go into it.
    fn fill(&mut self, rest: &mut Rest, out: &mut dyn Output) -> Result<()> {
        let column = rest.batch.column(self.layout.column).clone();
        let texts = Texts::new(&column)
            .ok_or_else(|| Error::internal("the parsed column is not of the planned type"))?;
        let labels = self.layout.charset_column.map(|at| rest.batch.column(at).clone());
        let labels = labels.as_ref().and_then(|column| Labels::new(column));
        self.layout.compiled.extract.now(self.clock.wall());
        let mut rejects = Rejects { batch: &rest.batch, group: None };
        let mut origins = Vec::with_capacity(self.target.rows.min(rest.batch.num_rows()));
        while rest.next < rest.batch.num_rows() && !self.is_full() {
            let row = rest.next;
            let before = self.cells.rows();
            let sent = labels.as_ref().and_then(|labels| labels.get(row));
            let misfit = self.row(texts.get(row), sent);
            let origin = u32::try_from(row)
                .map_err(|_| Error::internal("a batch of more than 4 billion rows"))?;
            origins.extend(std::iter::repeat_n(origin, self.cells.rows() - before));
            if let Some(Misfit(reason)) = misfit
                && row >= rest.told
            {
                rejects.add(row, reason, out)?;
            }
            rest.next += 1;
        }
        rejects.flush(out)?;
        let (rows, size) = (self.cells.rows(), self.cells.size());
        let columns = self.cells.take()?;
        let skip = std::mem::take(&mut rest.skip);
        if rows > skip {
            rest.held = Some(Held { columns, origins, out: skip, row_size: size / rows });
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.cells.rows() >= self.target.rows.max(1)
            || (self.cells.rows() > 0 && self.cells.size() >= self.target.bytes)
    }

    /// Parses one input row: its output rows are then added, or taken back. Says why it does not
    /// fit, or why not all of them do.
    fn row(&mut self, raw: Option<Raw<'_>>, sent: Option<&'static Encoding>) -> Option<Misfit> {
        self.cells.begin_text();
        let parsed = match self.layout.compiled.extract.gives_rows() {
            true => self.parse(raw, sent),
            false => self.parse(raw, sent).and_then(|()| self.cells.end_row()),
        };
        match parsed {
            Err(_) if self.lenient => {
                self.cells.take_back_text();
                self.cells.null_row();
                None
            }
            Err(misfit) => {
                self.cells.take_back_text();
                Some(misfit)
            }
            Ok(()) => self.cells.misfits(),
        }
    }

    fn parse(
        &mut self,
        raw: Option<Raw<'_>>,
        sent: Option<&'static Encoding>,
    ) -> Result<(), Misfit> {
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
        let text = raw.decode(Charset {
            forced: self.layout.charset,
            sent,
            declared: extract.declared(),
            guess: self.guess,
        });
        extract.extract(&text, &mut self.cells)
    }
}

impl Transform for Parser {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_some() {
            return Err(Error::internal("parse was given a batch while it was not ready"));
        }
        self.rest = Some(Rest::new(batch));
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
        self.rest.as_ref().map_or(Ok(Snapshot::Stateless), Rest::snapshot)
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
