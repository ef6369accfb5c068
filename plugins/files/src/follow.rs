//! Files that are read on while they grow, are replaced or cut, as `tail -F` does it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use gristmill_stage::path::folder;
use gristmill_stage::{BuildContext, Clock, Error, Next, Output, Result, Snapshot, Source, Stage};
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::current::{Current, Reading, Step, failed, regular};
use crate::format::Format;
use crate::options::ReadOptions;
use crate::paths::Input;

/// How long to wait before files are looked at again.
const WAIT: Duration = Duration::from_millis(200);
/// Layout of the snapshot: the files, each with its [`Place`] if it was begun.
const VERSION: u32 = 2;

/// # Errors
/// When these inputs cannot be followed.
pub(crate) fn check(options: &ReadOptions, format: Format, inputs: &[Input]) -> Result<()> {
    let wrong = |what: String| Err(Error::option("follow", what).help("leave out `follow`"));
    if format.is_columnar() {
        return wrong("a file of columns is complete, and does not grow".to_owned());
    }
    for input in inputs {
        let name = input.name();
        if !regular(input) {
            return wrong(format!("{name} is read as rows come, and cannot be replaced"));
        }
        let compression = options.compression(input).map_err(|e| failed(input, e))?;
        if compression.is_some_and(|compression| compression != Compression::None) {
            return wrong(format!("{name} is compressed, and is read only as a whole"));
        }
    }
    Ok(())
}

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// How far a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    identity: Identity,
    offset: u64,
    line: u64,
}

/// The bytes of a file, which end only when there is another in its place.
struct Tail {
    file: File,
    path: PathBuf,
    identity: Identity,
    at: u64,
}

impl Tail {
    /// Whether the path leads to another file, or to less of this one.
    fn is_over(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok(Identity::of(&found) != self.identity || found.len() < self.at),
            // Moved away; until there is a new one it may still be written to.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = self.file.read(buffer)?;
        if read == 0 {
            if !self.is_over()? {
                return Err(ErrorKind::WouldBlock.into());
            }
            // What was written between the two looks.
            read = self.file.read(buffer)?;
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// Builds a worker that follows its share of the files.
pub(crate) fn build(options: ReadOptions, context: &BuildContext) -> Result<Stage> {
    let restored: Option<Vec<(PathBuf, Option<Place>)>> = context.restored().value(VERSION)?;
    let files = match restored {
        // Which are not looked for again: one may be away for a moment.
        Some(files) => files,
        None => {
            let (instance, instances) = (context.instance(), context.instances().max(1));
            let inputs = options.path.inputs()?.into_iter().enumerate();
            let mine = inputs.filter(|(n, _)| n % instances == instance);
            let file = |(_, input)| match input {
                Input::File(path) => Some((path, None)),
                Input::Stdin => None,
            };
            mine.filter_map(file).collect()
        }
    };
    let inputs: Vec<Input> = files.iter().map(|(path, _)| Input::File(path.clone())).collect();
    let format = match inputs.is_empty() {
        true => Format::Lines,
        false => options.format(&inputs)?,
    };
    let followed = files.into_iter().map(|(path, place)| Followed { path, place, current: None });
    Ok(Stage::source(Follower {
        files: followed.collect(),
        turn: 0,
        reading: Reading::new(options, format, context),
        clock: context.clock().clone(),
    }))
}

/// A file that is followed.
struct Followed {
    path: PathBuf,
    /// Where to go on when it is opened; while it is open, which file it is.
    place: Option<Place>,
    current: Option<Current>,
}

struct Follower {
    files: Vec<Followed>,
    /// The file to look at first.
    turn: usize,
    reading: Reading,
    clock: Arc<dyn Clock>,
}

impl Followed {
    /// Opens it when it is there: where it was left, if it is the same file or can be found under
    /// another name beside it, or else at its beginning.
    fn open(&mut self, options: &ReadOptions, format: Format, schema: &SchemaRef) -> Result<()> {
        let input = Input::File(self.path.clone());
        let opened = self.tail().map_err(|e| failed(&input, e))?;
        let Some((tail, line, found)) = opened else { return Ok(()) };
        let (offset, identity) = (tail.at, tail.identity);
        let mut records = options.records(format, Box::new(tail))?.at(offset, line);
        let decoder = match offset {
            0 => None,
            // The header is behind.
            _ => {
                let file = File::open(&found).map_err(|e| failed(&input, e))?;
                let mut header = options.records(format, Box::new(file))?;
                options.decoder(format, schema, &input, &mut header)?
            }
        };
        let decoder = match decoder {
            None => options.decoder(format, schema, &input, &mut records)?,
            decoder => decoder,
        };
        self.place = Some(Place { identity, offset, line });
        self.current = Some(Current { records, decoder, input });
        Ok(())
    }

    /// The bytes to go on with, the line that they begin in, and where they are; `None` when there is
    /// no file.
    fn tail(&self) -> io::Result<Option<(Tail, u64, PathBuf)>> {
        let left = self.place.as_ref().and_then(|place| {
            let found = named(&self.path, place.identity)?;
            let long = fs::metadata(&found).is_ok_and(|found| found.len() >= place.offset);
            long.then_some((found, place.offset, place.line))
        });
        let (found, offset, line) = left.unwrap_or_else(|| (self.path.clone(), 0, 1));
        let mut file = match File::open(&found) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        file.seek(SeekFrom::Start(offset))?;
        let identity = Identity::of(&file.metadata()?);
        let tail = Tail { file, path: self.path.clone(), identity, at: offset };
        Ok(Some((tail, line, found)))
    }

    /// How far it was read.
    fn place(&self) -> Option<Place> {
        let mut place = self.place?;
        if let Some(current) = &self.current {
            (place.offset, place.line) = current.records.position();
        }
        Some(place)
    }
}

/// Where a file is now: under its path or, when it was moved away, under another name in that folder.
fn named(path: &Path, identity: Identity) -> Option<PathBuf> {
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|f| Identity::of(&f) == identity);
    if is_it(path) {
        return Some(path.to_owned());
    }
    let entries = fs::read_dir(folder(path)).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| is_it(path))
}

impl Source for Follower {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        for n in 0..self.files.len() {
            let at = (self.turn + n) % self.files.len();
            let file = &mut self.files[at];
            if file.current.is_none() {
                let Reading { options, format, schema, .. } = &self.reading;
                file.open(options, *format, schema)?;
            }
            let Some(current) = &mut file.current else { continue };
            match current.step(&self.reading, None, out)? {
                Step::Wait => continue,
                Step::Rows => {}
                Step::End => (file.current, file.place) = (None, None),
            }
            self.turn = at + 1;
            return Ok(Next::Now);
        }
        Ok(match self.files.is_empty() {
            true => Next::Done,
            false => Next::At(self.clock.now().saturating_add(WAIT)),
        })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let files: Vec<_> = self.files.iter().map(|file| (&file.path, file.place())).collect();
        Snapshot::of(VERSION, &files)
    }
}
