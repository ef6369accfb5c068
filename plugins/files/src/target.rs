//! Where written bytes go: aside until they are complete, or straight out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gristmill_stage::path::{folder, resolve_links};
use gristmill_stage::{Error, ErrorKind, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempPath};

/// An open output.
pub(crate) struct Target {
    /// What to call it in messages.
    name: String,
    sink: Sink,
    /// Bytes written so far.
    written: u64,
    /// Whether a file aside that is in a snapshot stays when the target is dropped.
    outlives: bool,
}

enum Sink {
    Stdout,
    /// A device or a pipe: it cannot be replaced, so it is written as it goes.
    Direct(File),
    /// A file aside, renamed when it is complete.
    Aside {
        aside: NamedTempFile,
        path: PathBuf,
        append: bool,
    },
    Done,
}

/// What a target needs to go on: the file aside and how much of it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aside {
    file: PathBuf,
    bytes: u64,
    /// Whether the output was complete.
    finished: bool,
}

impl Target {
    /// Stdout, shared with whoever else writes to it.
    ///
    /// # Errors
    /// When nobody is there to read it.
    pub(crate) fn stdout(restored: Option<&Aside>) -> Result<Self> {
        if stdout_is_closed() {
            return Err(Error::io(
                "stdout is closed, or is /dev/null opened for reading and writing",
            )
            .help("send it somewhere, or write to `path: /dev/null` if no row is wanted"));
        }
        let written = restored.map_or(0, |restored| restored.bytes);
        Ok(Self { name: "stdout".to_owned(), sink: Sink::Stdout, written, outlives: true })
    }

    /// A file. With `append` the rows are added to it at the end, all at once.
    pub(crate) fn create(path: &Path, append: bool, restored: Option<Aside>) -> Result<Self> {
        let name = path.display().to_string();
        let opened = |sink, written| Self { name: name.clone(), sink, written, outlives: true };
        let wrong = |e: io::Error| Error::io(format!("{name} cannot be written: {e}"));
        let path = resolve_links(path).map_err(wrong)?;
        let found = fs::metadata(&path).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = OpenOptions::new().write(true).open(&path).map_err(wrong)?;
            return Ok(opened(Sink::Direct(file), restored.map_or(0, |restored| restored.bytes)));
        }
        if restored.as_ref().is_some_and(|restored| restored.finished) {
            return Ok(opened(Sink::Done, restored.map_or(0, |restored| restored.bytes)));
        }
        let folder = folder(&path);
        fs::create_dir_all(folder).map_err(wrong)?;
        let (aside, written) = match restored {
            Some(restored) => (reopen(&restored, &path, append)?, restored.bytes),
            None => (beside(&path, found).map_err(wrong)?, 0),
        };
        Ok(opened(Sink::Aside { aside, path, append }, written))
    }

    /// Says whether a later run may go on with the file aside.
    pub(crate) fn outlives(mut self, outlives: bool) -> Self {
        self.outlives = outlives;
        self
    }

    /// Whether rows of an earlier run come before those that are written.
    pub(crate) fn continues(&self) -> bool {
        let Sink::Aside { path, append, .. } = &self.sink else {
            return self.written > 0 || matches!(self.sink, Sink::Done);
        };
        self.written > 0 || (*append && fs::metadata(path).is_ok_and(|found| found.len() > 0))
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when nobody reads any more, [`ErrorKind::Io`] with the number of bytes
    /// that were written before.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.sink {
            Sink::Stdout => {
                let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Sink::Direct(file) => file.write_all(bytes),
            Sink::Aside { aside, .. } => aside.write_all(bytes),
            Sink::Done => Err(io::Error::other("it is complete already")),
        };
        written.map_err(|e| self.failed(&e))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Error {
        let (name, written) = (&self.name, self.written);
        match error.kind() {
            io::ErrorKind::BrokenPipe => Error::closed(format!("{name} is closed")),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::io(format!(
                "{name} cannot be written: there is no space left, after {written} bytes"
            ))
            .help("free some space, or write elsewhere"),
            _ => Error::io(format!("{name} cannot be written: {error}, after {written} bytes")),
        }
    }

    /// Makes what was written durable and says how to go on after it. `None` for what is written
    /// straight out.
    pub(crate) fn snapshot(&mut self) -> Result<Option<Aside>> {
        let bytes = self.written;
        let aside = match &mut self.sink {
            Sink::Aside { aside, .. } => aside,
            Sink::Done => return Ok(Some(Aside { file: PathBuf::new(), bytes, finished: true })),
            // What was written straight out cannot be taken back; but it has begun.
            Sink::Stdout | Sink::Direct(_) => {
                return Ok(Some(Aside { file: PathBuf::new(), bytes, finished: false }));
            }
        };
        let synced = aside.as_file().sync_data();
        // From here on a later run may need it, so it outlives this stage.
        aside.disable_cleanup(self.outlives);
        let file = aside.path().to_owned();
        synced.map_err(|e| self.failed(&e))?;
        Ok(Some(Aside { file, bytes, finished: false }))
    }

    /// Completes the output: only now it stands under its name. Further calls do nothing.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Done) {
            Sink::Stdout | Sink::Done => Ok(()),
            Sink::Direct(mut file) => file.flush().map_err(|e| self.failed(&e)),
            Sink::Aside { mut aside, path, append } => {
                let done = if append && path.exists() {
                    add(&mut aside, &path)
                } else {
                    replace(aside, &path)
                };
                done.map_err(|e| self.failed(&e))
            }
        }
    }
}

/// Whether stdout was closed when the program was started (`>&-`). Rust's own start then opens
/// /dev/null in its place, for reading and writing; a shell that is told `> /dev/null` opens it for
/// writing alone.
fn stdout_is_closed() -> bool {
    let out = io::stdout();
    let (Ok(found), Ok(null)) = (rustix::fs::fstat(&out), rustix::fs::stat("/dev/null")) else {
        return false;
    };
    let both =
        rustix::fs::fcntl_getfl(&out).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR);
    both && (found.st_dev, found.st_ino) == (null.st_dev, null.st_ino)
}

fn beside(path: &Path, found: Option<fs::Metadata>) -> io::Result<NamedTempFile> {
    // Not the whole of a long name: with what is added it would be too long for a file.
    const LONGEST: usize = 100;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{}.tmp-", &name[..name.floor_char_boundary(LONGEST)]);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    #[cfg(unix)]
    let permissions = {
        use std::os::unix::fs::PermissionsExt;
        // As any new file; the user's mask applies.
        found.map_or_else(|| fs::Permissions::from_mode(0o666), |found| found.permissions())
    };
    #[cfg(unix)]
    builder.permissions(permissions);
    builder.tempfile_in(folder(path))
}

/// Opens the file aside again, as it was when the snapshot was taken.
fn reopen(restored: &Aside, path: &Path, append: bool) -> Result<NamedTempFile> {
    let gone = |e: io::Error| {
        let file = restored.file.display();
        Error::new(
            ErrorKind::Restore,
            format!("the half-written {file} cannot be gone on with: {e}"),
        )
    };
    if !restored.file.exists() && !append {
        // The run was completed after the snapshot: its beginning is what was there then.
        let mut aside = beside(path, None).map_err(gone)?;
        let whole = File::open(path).map_err(gone)?;
        let copied = io::copy(&mut whole.take(restored.bytes), &mut aside).map_err(gone)?;
        return match copied == restored.bytes {
            true => Ok(aside),
            false => Err(gone(io::Error::other("it is shorter than it was"))),
        };
    }
    let mut file = OpenOptions::new().write(true).read(true).open(&restored.file).map_err(gone)?;
    if file.metadata().map_err(gone)?.len() < restored.bytes {
        return Err(gone(io::Error::other("it is shorter than it was")));
    }
    file.set_len(restored.bytes).map_err(gone)?;
    file.seek(SeekFrom::End(0)).map_err(gone)?;
    let path = TempPath::try_from_path(&restored.file).map_err(gone)?;
    Ok(NamedTempFile::from_parts(file, path))
}

fn replace(aside: NamedTempFile, path: &Path) -> io::Result<()> {
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// Makes the new name durable, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder(path)).and_then(|folder| folder.sync_all()) {
        Err(e) if cfg!(unix) && e.kind() != io::ErrorKind::InvalidInput => Err(e),
        _ => Ok(()),
    }
}

/// Adds what was written aside to the file; on failure the file is as it was.
fn add(aside: &mut NamedTempFile, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    aside.seek(SeekFrom::Start(0))?;
    let copied = io::copy(aside.as_file_mut(), &mut file).and_then(|_| file.sync_all());
    match copied {
        Ok(()) => fs::remove_file(aside.path()),
        Err(e) => {
            file.set_len(before)?;
            Err(e)
        }
    }
}
