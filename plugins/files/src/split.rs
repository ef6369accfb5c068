//! Files in pieces, so that several workers read one file.
//!
//! A piece has the records that begin in it. Pieces are of a fixed size and dealt out in turn, so
//! each worker knows its own without asking the others.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use gristmill_stage::{BuildContext, Error, ErrorKind, Result, Snapshot};
use serde::{Deserialize, Serialize};

use crate::current::{Current, failed};
use crate::decode::Decoder;
use crate::format::Format;
use crate::options::ReadOptions;
use crate::paths::Input;
use crate::quotes::Quotes;
use crate::records::MARK;

/// How much is looked at together on the way to a piece.
const CHUNK: usize = 256 << 10;
/// Layout of the snapshot: a [`Progress`].
const VERSION: u32 = 2;

/// The pieces of one worker.
pub(crate) struct Split {
    inputs: Vec<Input>,
    lengths: Vec<u64>,
    pieces: Vec<Piece>,
    done: usize,
    /// Where in the next piece to go on.
    restored: Option<u64>,
    file: Option<Opened>,
}

/// Where a worker is.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    /// How long each file was when the run began: so much of it is read, by all workers.
    lengths: Vec<u64>,
    /// How many of its pieces the worker has read.
    done: usize,
    /// Where in the next one it is.
    offset: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    input: usize,
    bytes: Range<u64>,
}

/// A file of which pieces are read.
struct Opened {
    input: usize,
    file: Arc<File>,
    /// Between two pieces.
    decoder: Option<Decoder>,
    /// A place where a record begins; what is before it is none of this worker's any more.
    known: u64,
    /// How far quotes were followed.
    quotes: Option<Quotes>,
    /// Where the piece in hand begins.
    first: u64,
    /// So many bytes have so many line ends.
    counted: (u64, u64),
}

impl Split {
    /// The pieces of this worker.
    ///
    /// # Errors
    /// When a file cannot be looked at, or the snapshot is of other files.
    pub(crate) fn new(inputs: Vec<Input>, size: u64, context: &BuildContext) -> Result<Self> {
        let length = |input: &Input| match input {
            Input::File(path) => std::fs::metadata(path).map(|m| m.len()),
            Input::Stdin => Err(io::ErrorKind::NotSeekable.into()),
        };
        let restored: Option<Progress> = context.restored().value(VERSION)?;
        let Progress { lengths, done, offset } = match restored {
            Some(progress) if progress.lengths.len() == inputs.len() => progress,
            Some(_) => {
                return Err(Error::new(ErrorKind::Restore, "other files were being read"));
            }
            None => {
                let length = |input| length(input).map_err(|e| failed(input, e));
                let lengths = inputs.iter().map(length).collect::<Result<_>>()?;
                Progress { lengths, done: 0, offset: None }
            }
        };
        let pieces = deal(&lengths, size, context.instance(), context.instances());
        Ok(Self { inputs, lengths, pieces, done, restored: offset, file: None })
    }

    /// Begins the next piece that has records. `None` when all are read.
    pub(crate) fn next(
        &mut self,
        options: &ReadOptions,
        format: Format,
        schema: &SchemaRef,
    ) -> Result<Option<Current>> {
        while let Some(Piece { input, bytes }) = self.pieces.get(self.done).cloned() {
            let name = &self.inputs[input];
            let mut file = match self.file.take().filter(|file| file.input == input) {
                Some(file) => file,
                None => open(options, format, schema, input, name, self.lengths[input])?,
            };
            file.known = file.known.max(self.restored.take().unwrap_or(0));
            if file.known < bytes.end {
                let current = file.begin(options, format, name, bytes);
                let current = current.map_err(|e| failed(name, e))?;
                self.file = Some(file);
                return Ok(Some(current));
            }
            self.file = Some(file);
            self.done += 1;
        }
        Ok(None)
    }

    /// Takes back a piece that was read to its end.
    ///
    /// # Errors
    /// When the file has become shorter than it was.
    pub(crate) fn finished(&mut self, current: Current) -> Result<()> {
        let (offset, _) = current.records.position();
        if let (Some(piece), Some(file)) = (self.pieces.get(self.done), &mut self.file) {
            if offset < piece.bytes.end {
                return Err(shorter(&current.input, self.lengths[piece.input], offset));
            }
            file.known = offset;
            file.decoder = current.decoder;
        }
        self.done += 1;
        Ok(())
    }

    /// The number of the line that is this one, from 1, of the piece in hand. Lines are counted only
    /// when somebody asks.
    pub(crate) fn line(&mut self, line: u64, input: &Input) -> Result<u64> {
        let Some(file) = &mut self.file else { return Ok(line) };
        let (mut from, mut lines) = file.counted;
        let first = file.first;
        let counted = each(&file.file, from..first, |text| {
            lines += memchr::memchr_iter(b'\n', text).count() as u64;
            from += text.len() as u64;
        });
        counted.map_err(|e| failed(input, e))?;
        file.counted = (from, lines);
        Ok(lines + line)
    }

    /// What the worker has read.
    pub(crate) fn snapshot(&self, current: Option<&Current>) -> Result<Snapshot> {
        let offset = current.map(|current| current.records.position().0).or(self.restored);
        let progress = Progress { lengths: self.lengths.clone(), done: self.done, offset };
        Snapshot::of(VERSION, &progress)
    }
}

impl Opened {
    fn begin(
        &mut self,
        options: &ReadOptions,
        format: Format,
        input: &Input,
        bytes: Range<u64>,
    ) -> io::Result<Current> {
        let records = if self.known >= bytes.start {
            options.records(format, Box::new(From(self.file.clone(), self.known)))
        } else {
            // From the byte before, so that a record which begins with the piece is seen to.
            options.records(format, Box::new(From(self.file.clone(), bytes.start - 1)))
        };
        let mut records = records.map_err(io::Error::other)?;
        if self.known >= bytes.start {
            records = records.at(self.known, 1).until(bytes.end);
        } else {
            records = records.at(bytes.start - 1, 1).until(bytes.end);
            if let Some(quotes) = &mut self.quotes {
                quotes.pass(self.known);
                let far = quotes.offset..bytes.start - 1;
                each(&self.file, far, |text| quotes.follow(text))?;
                records = records.in_place(quotes.place);
            }
            records.align()?;
        }
        self.first = records.position().0;
        Ok(Current { records, decoder: self.decoder.take(), input: input.clone() })
    }
}

/// Opens a file. Its header, if there is one, belongs to no piece.
fn open(
    options: &ReadOptions,
    format: Format,
    schema: &SchemaRef,
    at: usize,
    input: &Input,
    length: u64,
) -> Result<Opened> {
    let Input::File(path) = input else {
        return Err(Error::internal("only files are read in pieces"));
    };
    let file = File::open(path).map_err(|e| failed(input, e))?;
    let found = file.metadata().map_err(|e| failed(input, e))?.len();
    if found < length {
        return Err(shorter(input, length, found));
    }
    let file = Arc::new(file);
    let mut records = options.records(format, Box::new(From(file.clone(), 0)))?;
    let decoder = options.decoder(format, schema, input, &mut records)?;
    // A byte order mark belongs to no record.
    let mut mark = [0; MARK.len()];
    let marked = file.read_at(&mut mark, 0).map_err(|e| failed(input, e))?;
    let marked = if mark[..marked] == *MARK { MARK.len() as u64 } else { 0 };
    let known = records.position().0.max(marked);
    let quotes = options.quotes(format)?;
    Ok(Opened { input: at, file, decoder, known, quotes, first: known, counted: (0, 0) })
}

fn shorter(input: &Input, length: u64, found: u64) -> Error {
    let name = input.name();
    Error::io(format!("{name} was cut short while it was read: it had {length} bytes, now {found}"))
}

/// The pieces of one worker, in order.
fn deal(lengths: &[u64], size: u64, instance: usize, instances: usize) -> Vec<Piece> {
    let size = size.max(1);
    let of_file = |(input, length): (usize, &u64)| {
        let length = *length;
        // Each file begins with another worker, so that short ones are dealt out, too.
        let skip = (instance + instances - input % instances) % instances;
        let starts = (0..length.div_ceil(size)).skip(skip).step_by(instances);
        starts.map(move |n| {
            let start = n * size;
            Piece { input, bytes: start..length.min(start.saturating_add(size)) }
        })
    };
    lengths.iter().enumerate().flat_map(of_file).collect()
}

/// Shows these bytes of a file, a chunk at a time.
fn each(file: &File, bytes: Range<u64>, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; if bytes.is_empty() { 0 } else { CHUNK }];
    let mut at = bytes.start;
    while at < bytes.end {
        let left = usize::try_from(bytes.end - at).unwrap_or(CHUNK).min(CHUNK);
        match file.read_at(&mut chunk[..left], at) {
            Ok(0) => break,
            Ok(read) => {
                show(&chunk[..read]);
                at += read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A file from a place on.
struct From(Arc<File>, u64);

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}
