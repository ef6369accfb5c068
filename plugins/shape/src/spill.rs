//! Sorted rows on disk.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind as IoKind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use gristmill_stage::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::weigh::total;

/// A folder for the files of one worker. It goes with them when it is dropped, unless another run
/// may go on from a snapshot that names it.
pub(crate) struct Folder {
    path: PathBuf,
    /// The number of the next file.
    next: u64,
    /// Whether it stays.
    pub(crate) stays: bool,
}

/// A file of sorted rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    file: String,
    /// Rows at its beginning that do not count any more.
    pub(crate) gone: u64,
    /// Bytes of its largest block.
    pub(crate) widest: usize,
    /// Whether a snapshot may name it.
    #[serde(skip)]
    pub(crate) named: bool,
}

impl Folder {
    /// A new folder in `at`.
    pub(crate) fn create(at: Option<&Path>) -> Result<Self> {
        let at = at.map_or_else(std::env::temp_dir, Path::to_owned);
        let made = fs::create_dir_all(&at)
            .and_then(|()| tempfile::Builder::new().prefix("gristmill-sort-").tempdir_in(&at));
        let path = made.map_err(|e| failed(&at, &e))?.keep();
        Ok(Self { path, next: 0, stays: false })
    }

    /// The folder of an earlier worker. Files besides `runs` are removed from it.
    pub(crate) fn adopt(path: PathBuf, runs: &[Run]) -> Result<Self> {
        let gone = |file: &Path| {
            let text = format!("what was spilled to {} is gone", file.display());
            Error::new(ErrorKind::Restore, text)
        };
        if let Some(run) = runs.iter().find(|run| !path.join(&run.file).is_file()) {
            return Err(gone(&path.join(&run.file)));
        }
        let mut next = 0;
        for entry in fs::read_dir(&path).map_err(|_| gone(&path))? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            next = next.max(name.parse::<u64>().map_or(0, |number| number + 1));
            if !runs.iter().any(|run| run.file == name) {
                fs::remove_file(path.join(&*name)).map_err(|e| failed(&path, &e))?;
            }
        }
        Ok(Self { path, next, stays: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file.
    pub(crate) fn write(&mut self, schema: &SchemaRef) -> Result<RunWriter> {
        let file = self.next.to_string();
        self.next += 1;
        let opened = File::create_new(self.path.join(&file)).map_err(|e| failed(&self.path, &e))?;
        let writer = StreamWriter::try_new(BufWriter::new(opened), schema)
            .map_err(|e| arrow_failed(&self.path, e))?;
        Ok(RunWriter { writer, folder: self.path.clone(), file, widest: 0 })
    }

    /// Opens a file at the first row that counts.
    pub(crate) fn read(&self, run: &Run, schema: &SchemaRef) -> Result<RunReader> {
        let path = self.path.join(&run.file);
        let opened = File::open(&path).map_err(|e| unread(&path, e))?;
        let reader = StreamReader::try_new(BufReader::new(opened), None);
        let reader = reader.map_err(|e| unread(&path, e))?;
        Ok(RunReader { reader, path, schema: SchemaRef::clone(schema), gone: run.gone })
    }

    /// Removes a file.
    pub(crate) fn remove(&self, run: &Run) -> Result<()> {
        fs::remove_file(self.path.join(&run.file)).map_err(|e| failed(&self.path, &e))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.stays {
            // Nobody is there any more to tell of a failure.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A file of sorted rows that is being written.
pub(crate) struct RunWriter {
    writer: StreamWriter<BufWriter<File>>,
    folder: PathBuf,
    file: String,
    widest: usize,
}

impl RunWriter {
    /// Adds a block.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.widest = self.widest.max(total(rows));
        self.writer.write(rows).map_err(|e| arrow_failed(&self.folder, e))
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<Run> {
        let finished = self.writer.finish().and_then(|()| self.writer.flush());
        finished.map_err(|e| arrow_failed(&self.folder, e))?;
        Ok(Run { file: self.file, gone: 0, widest: self.widest, named: false })
    }
}

/// A file of sorted rows that is being read.
pub(crate) struct RunReader {
    reader: StreamReader<BufReader<File>>,
    path: PathBuf,
    schema: SchemaRef,
    /// Rows still to be passed over.
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
                let rows = block.slice(over as usize, rows);
                let schema = SchemaRef::clone(&self.schema);
                return Ok(Some(RecordBatch::try_new(schema, rows.columns().to_vec())?));
            }
        }
        Ok(None)
    }
}

fn unread(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::io(format!("{}, where rows were spilled, cannot be read: {error}", path.display()))
}

fn arrow_failed(folder: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => failed(folder, &error),
        other => other.into(),
    }
}

fn failed(folder: &Path, error: &std::io::Error) -> Error {
    let folder = folder.display();
    let what = format!("rows cannot be spilled to {folder}");
    match error.kind() {
        IoKind::StorageFull | IoKind::QuotaExceeded | IoKind::FileTooLarge => Error::io(format!(
            "{what}: there is no space left"
        ))
        .help("free some space, name a folder on another disk in `spill`, or raise `memory`"),
        _ => Error::io(format!("{what}: {error}")).help("name another folder in `spill`"),
    }
}
