//! The source that reads addresses from a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use gristmill_stage::{BuildContext, Error, ErrorKind, Next, Output, Result, Snapshot, Source};
use serde::{Deserialize, Serialize};

use crate::lines::{Line, Lines};
use crate::program::Program;
use crate::rows::{Rows, Uses};
use crate::share::{Ramp, Share};
use crate::template::{Cell, is_scheme};

const VERSION: u32 = 1;

/// Makes a row for each line of a file.
pub(crate) struct UrlFile {
    program: Program,
    path: PathBuf,
    lines: Lines,
    /// Lines so far that were neither blank nor a comment; of all workers.
    entries: u64,
    share: Share,
    ramp: Ramp,
    rows: Rows,
    uses: Uses,
    cells: [Cell; 1],
}

#[derive(Serialize, Deserialize)]
struct Position {
    offset: u64,
    line: u64,
    entries: u64,
    workers: u64,
}

impl UrlFile {
    pub(crate) fn new(program: Program, path: &Path, context: &BuildContext) -> Result<Self> {
        let mut lines = Lines::open(path).map_err(|e| e.at("file"))?;
        let share = Share::new(context.instance(), context.instances());
        let mut entries = 0;
        if let Some(at) = context.restored().value::<Position>(VERSION)? {
            if at.workers != share.instances() || at.offset > lines.length()? {
                return Err(Error::new(
                    ErrorKind::Restore,
                    format!("{} or the number of workers is not what it was", path.display()),
                ));
            }
            lines.go_to(at.offset, at.line)?;
            entries = at.entries;
        }
        Ok(Self {
            path: path.to_owned(),
            lines,
            entries,
            share,
            ramp: Ramp::new(context.batch().rows),
            rows: Rows::new(&program, context.output().clone(), context.batch()),
            uses: Uses::of(&program, 0),
            cells: [Cell::default()],
            program,
        })
    }
}

impl Source for UrlFile {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let most = self.ramp.rows();
        let mut next = Next::Now;
        // Lines of other workers are read too, and a call must be short however many there are.
        for _ in 0..most.saturating_mul(8) {
            if self.rows.full(most) {
                break;
            }
            let line = self.lines.read()?;
            if matches!(line, Line::End) {
                next = Next::Done;
                break;
            }
            if matches!(line, Line::Blank) {
                continue;
            }
            let own = self.share.owns(self.entries);
            self.entries += 1;
            if !own {
                continue;
            }
            let (text, reason) = match line {
                Line::Text(url) => match refuse(url) {
                    None => {
                        let n = self.entries as i64;
                        number(self.uses, n, &mut self.cells[0]);
                        self.rows.start(n, &self.cells);
                        self.rows.line(url, &self.program.request, &self.cells)?;
                        continue;
                    }
                    Some(reason) => (url.chars().take(1024).collect(), reason),
                },
                Line::Bad(start, reason) => (start, reason),
                Line::Blank | Line::End => continue,
            };
            let number = self.lines.number();
            let reason = format!("{}:{number}: {reason}", self.path.display());
            out.reject(rejected(&self.path, number, text)?, &reason)?;
        }
        if !self.rows.is_empty() {
            out.emit(self.rows.finish()?)?;
        }
        Ok(next)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let position = Position {
            offset: self.lines.offset(),
            line: self.lines.number(),
            entries: self.entries,
            workers: self.share.instances(),
        };
        Snapshot::of(VERSION, &position)
    }
}

/// Puts the number into its cell, if a template asks for it.
fn number(uses: Uses, n: i64, cell: &mut Cell) {
    if uses.raw {
        cell.raw.clear();
        // Writing into a String does not fail.
        let _ = write!(cell.raw, "{n}");
        uses.fill(cell);
    }
}

/// Why a line is no address, if it is none.
fn refuse(url: &str) -> Option<&'static str> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("an address has no blanks and no control characters");
    }
    match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() => None,
        _ => Some("the line does not begin with http:// or the like"),
    }
}

/// A refused line as a row: file, line, text.
fn rejected(path: &Path, line: u64, text: String) -> Result<RecordBatch> {
    let columns: [(&str, ArrayRef); 3] = [
        ("file", Arc::new(StringArray::from(vec![path.display().to_string()]))),
        ("line", Arc::new(Int64Array::from(vec![line as i64]))),
        ("text", Arc::new(StringArray::from(vec![text]))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
