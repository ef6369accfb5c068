//! Rows in a file, in pieces that can be read while more are added.
//!
//! Each piece is its length and a stream of Arrow IPC. A file can be gone on with from any length that
//! was told.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use gristmill_stage::{Error, ErrorKind, Result};

/// Small batches are put together up to so many rows and bytes.
const ROWS: usize = 8192;
const BYTES: usize = 4 << 20;

/// A file that rows are added to.
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    schema: SchemaRef,
    /// Not yet in the file.
    pending: Vec<RecordBatch>,
    rows: usize,
    held: usize,
    bytes: u64,
}

impl Spool {
    /// A new file, in place of one that is there. Only its owner can read it.
    pub(crate) fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| failed(path, &e))?;
        Ok(Self::of(file, path, schema, 0))
    }

    /// Goes on after `bytes`; what stands behind them is gone.
    pub(crate) fn reopen(path: &Path, schema: SchemaRef, bytes: u64) -> Result<Self> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            if file.metadata()?.len() < bytes {
                return Err(io::Error::other("it is shorter than it was"));
            }
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|e| {
            let text = format!("the rows in {} cannot be gone on with: {e}", path.display());
            Error::new(ErrorKind::Restore, text)
        })?;
        Ok(Self::of(file, path, schema, bytes))
    }

    fn of(file: File, path: &Path, schema: SchemaRef, bytes: u64) -> Self {
        // Tells others that somebody is at work on it; whoever has it already does so, too.
        let _ = file.try_lock();
        Self { file, path: path.to_owned(), schema, pending: Vec::new(), rows: 0, held: 0, bytes }
    }

    /// Adds rows; they are in the file after [`Spool::flush`].
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        self.held += batch.get_array_memory_size();
        self.pending.push(batch);
        match self.rows >= ROWS || self.held >= BYTES {
            true => self.flush().map(|_| ()),
            false => Ok(()),
        }
    }

    /// Puts all rows into the file; returns its length.
    pub(crate) fn flush(&mut self) -> Result<u64> {
        let batch = match self.pending.as_slice() {
            [] => return Ok(self.bytes),
            [one] => one.clone(),
            several => concat_batches(&self.schema, several)?,
        };
        (self.rows, self.held) = (0, 0);
        self.pending.clear();
        let mut piece = vec![0; 8];
        let mut writer = StreamWriter::try_new(&mut piece, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        let length = piece.len() as u64 - 8;
        piece[..8].copy_from_slice(&length.to_le_bytes());
        self.file.write_all(&piece).map_err(|e| failed(&self.path, &e))?;
        self.bytes += piece.len() as u64;
        Ok(self.bytes)
    }

    /// Makes what is in the file outlive a power failure.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| failed(&self.path, &e))
    }
}

/// Reads the pieces of a file in their order.
pub(crate) struct Pieces {
    file: BufReader<File>,
    path: PathBuf,
    /// Up to where to read.
    left: u64,
}

impl Pieces {
    /// The pieces in the first `bytes` of the file.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self> {
        let file = File::open(path).map_err(|e| failed(path, &e))?;
        let there = file.metadata().map_err(|e| failed(path, &e))?.len();
        let file = BufReader::with_capacity(256 << 10, file);
        Ok(Self { file, path: path.to_owned(), left: bytes.min(there) })
    }

    /// The next rows, of as many pieces as make up a batch of a good size; none at the end.
    pub(crate) fn gather(&mut self) -> Result<Option<RecordBatch>> {
        let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < ROWS && bytes < BYTES {
            let Some(batch) = self.next()? else { break };
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            batches.push(batch);
        }
        Ok(match batches.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, ..] => Some(concat_batches(&first.schema(), &batches)?),
        })
    }

    /// The rows of the next piece; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.left < 8 {
            return Ok(None);
        }
        let mut length = [0; 8];
        self.file.read_exact(&mut length).map_err(|e| failed(&self.path, &e))?;
        let length = u64::from_le_bytes(length);
        let cut = || Error::io(format!("{} is damaged", self.path.display()));
        self.left = (self.left - 8).checked_sub(length).ok_or_else(cut)?;
        let mut piece = vec![0; usize::try_from(length).map_err(|_| cut())?];
        self.file.read_exact(&mut piece).map_err(|e| failed(&self.path, &e))?;
        let mut reader = StreamReader::try_new(piece.as_slice(), None)?;
        match reader.next() {
            Some(batch) => Ok(Some(batch?)),
            None => Err(cut()),
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "there is no space left".to_owned()
        }
        _ => error.to_string(),
    };
    Error::io(format!("rows cannot be kept in {}: {what}", path.display()))
        .help("`spool` names the folder for rows that are not yet published")
}
