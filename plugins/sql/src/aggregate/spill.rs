//! Groups on disk.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, BufWriter, ErrorKind as IoKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use gristmill_stage::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A folder for the files of one worker. It has a name from the beginning, and is there once it is
/// needed. It goes with the files when it is dropped, unless another run may go on from a snapshot
/// that names it.
pub(crate) struct Folder {
    path: PathBuf,
    made: bool,
    /// The number of the next file.
    next: u64,
    /// Whether it stays.
    pub(crate) stays: bool,
}

/// A file of groups, sorted by the hash of their keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    file: PathBuf,
    /// Groups at its beginning that do not count any more.
    pub(crate) gone: u64,
    /// Bytes of its largest block.
    pub(crate) widest: usize,
    /// Whether a snapshot may name it.
    #[serde(skip)]
    pub(crate) named: bool,
}

impl Folder {
    /// A folder in `at`, with a name that no other has.
    pub(crate) fn reserve(at: Option<&Path>) -> Self {
        let at = at.map_or_else(std::env::temp_dir, Path::to_owned);
        let random = RandomState::new().hash_one(std::process::id());
        let path = at.join(format!("gristmill-aggregate-{random:016x}"));
        Self { path, made: false, next: 0, stays: false }
    }

    /// The folder of an earlier worker, if it was needed. Files besides `runs` are removed from it.
    pub(crate) fn adopt(path: PathBuf, runs: &[Run]) -> Result<Self> {
        if let Some(run) = runs.iter().find(|run| !run.file.is_file()) {
            let text = format!("what was spilled to {} is gone", run.file.display());
            return Err(Error::new(ErrorKind::Restore, text));
        }
        let made = path.is_dir();
        let mut next = 0;
        let entries = made.then(|| fs::read_dir(&path)).transpose()?;
        for entry in entries.into_iter().flatten() {
            let name = entry?.file_name();
            next = next.max(name.to_string_lossy().parse::<u64>().map_or(0, |number| number + 1));
            let file = path.join(name);
            if !runs.iter().any(|run| run.file == file) {
                fs::remove_file(file).map_err(|e| failed(&path, &e))?;
            }
        }
        Ok(Self { path, made, next, stays: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is in it.
    pub(crate) fn has(&self, run: &Run) -> bool {
        run.file.starts_with(&self.path)
    }

    /// Begins a file.
    pub(crate) fn write(&mut self, schema: &SchemaRef) -> Result<RunWriter> {
        if !self.made {
            let parent = self.path.parent().unwrap_or(Path::new("."));
            let made = fs::create_dir_all(parent)
                // The groups may be nobody else's business.
                .and_then(|()| fs::DirBuilder::new().mode(0o700).create(&self.path));
            made.map_err(|e| failed(&self.path, &e))?;
            self.made = true;
        }
        let file = self.path.join(self.next.to_string());
        self.next += 1;
        let opened = File::create_new(&file).map_err(|e| failed(&self.path, &e))?;
        let writer = StreamWriter::try_new(BufWriter::new(opened), schema)
            .map_err(|e| arrow_failed(&self.path, e))?;
        Ok(RunWriter { writer, folder: self.path.clone(), file, widest: 0 })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.made && !self.stays {
            // Nobody is there any more to tell of a failure.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Run {
    /// Opens it at the first group that counts.
    pub(crate) fn read(&self) -> Result<RunReader> {
        let opened = File::open(&self.file).map_err(|e| unread(&self.file, e))?;
        let reader = StreamReader::try_new(BufReader::new(opened), None);
        let reader = reader.map_err(|e| unread(&self.file, e))?;
        Ok(RunReader { reader, path: self.file.clone(), gone: self.gone })
    }

    /// Removes it.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.file).map_err(|e| failed(&self.file, &e))
    }
}

/// A file of groups that is being written.
pub(crate) struct RunWriter {
    writer: StreamWriter<BufWriter<File>>,
    folder: PathBuf,
    file: PathBuf,
    widest: usize,
}

impl RunWriter {
    /// Adds a block.
    pub(crate) fn write(&mut self, block: &RecordBatch) -> Result<()> {
        self.widest = self.widest.max(block.get_array_memory_size());
        self.writer.write(block).map_err(|e| arrow_failed(&self.folder, e))
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<Run> {
        let finished = self.writer.finish().and_then(|()| self.writer.flush());
        finished.map_err(|e| arrow_failed(&self.folder, e))?;
        Ok(Run { file: self.file, gone: 0, widest: self.widest, named: false })
    }
}

/// A file of groups that is being read.
pub(crate) struct RunReader {
    reader: StreamReader<BufReader<File>>,
    path: PathBuf,
    /// Groups still to be passed over.
    gone: u64,
}

impl RunReader {
    /// The next block; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        for block in self.reader.by_ref() {
            let block = block.map_err(|e| unread(&self.path, e))?;
            let over = self.gone.min(block.num_rows() as u64);
            self.gone -= over;
            let rows = block.num_rows() - over as usize;
            if rows > 0 {
                return Ok(Some(block.slice(over as usize, rows)));
            }
        }
        Ok(None)
    }
}

fn unread(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::io(format!("{}, where groups were spilled, cannot be read: {error}", path.display()))
}

fn arrow_failed(folder: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => failed(folder, &error),
        other => other.into(),
    }
}

fn failed(folder: &Path, error: &std::io::Error) -> Error {
    let folder = folder.display();
    let what = format!("groups cannot be spilled to {folder}");
    match error.kind() {
        IoKind::StorageFull | IoKind::QuotaExceeded | IoKind::FileTooLarge => Error::io(format!(
            "{what}: there is no space left"
        ))
        .help("free some space, name a folder on another disk in `spill`, or raise `memory`"),
        _ => Error::io(format!("{what}: {error}")).help("name another folder in `spill`"),
    }
}
