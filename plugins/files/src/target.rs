//! Where written bytes go: aside until they are complete, or straight out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Take, Write};
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
        /// What was gone on from, in the place of which `aside` is. A snapshot may still name it.
        older: Vec<TempPath>,
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
    /// Files aside that this one was copied from; to be removed in the end.
    older: Vec<PathBuf>,
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
        let done = restored.is_some_and(|restored| restored.finished);
        let sink = if done { Sink::Done } else { Sink::Stdout };
        Ok(Self { name: "stdout".to_owned(), sink, written, outlives: true })
    }

    /// A file. With `append` the rows are added to it at the end, all at once. What was written aside
    /// before is added to; when it cannot be (`adds`), it comes back to be copied.
    pub(crate) fn create(
        path: &Path,
        append: bool,
        restored: Option<Aside>,
        adds: bool,
    ) -> Result<(Self, Option<Take<File>>)> {
        let name = path.display().to_string();
        let opened = |sink, written| Self { name: name.clone(), sink, written, outlives: true };
        let wrong = |e: io::Error| Error::io(format!("{name} cannot be written: {e}"));
        let path = resolve_links(path).map_err(wrong)?;
        if let Some(restored) = restored.as_ref().filter(|restored| restored.finished) {
            return Ok((opened(Sink::Done, restored.bytes), None));
        }
        let found = fs::metadata(&path).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let file = OpenOptions::new().write(true).open(&path).map_err(wrong)?;
            let written = restored.map_or(0, |restored| restored.bytes);
            return Ok((opened(Sink::Direct(file), written), None));
        }
        fs::create_dir_all(folder(&path)).map_err(wrong)?;
        let (mut older, mut written, mut before) = (Vec::new(), 0, None);
        let aside = match restored {
            None => beside(&path, found).map_err(wrong)?,
            Some(restored) if adds => {
                written = restored.bytes;
                reopen(&restored, &path, append)?
            }
            Some(restored) => {
                before = Some(earlier(&restored, &path, append)?);
                let names = restored.older.iter().chain([&restored.file]);
                older.extend(names.filter_map(|file| TempPath::try_from_path(file).ok()));
                beside(&path, found).map_err(wrong)?
            }
        };
        Ok((opened(Sink::Aside { aside, path, append, older }, written), before))
    }

    /// Says whether a later run may go on with the file aside.
    pub(crate) fn outlives(mut self, outlives: bool) -> Self {
        self.outlives = outlives;
        if let Sink::Aside { older, .. } = &mut self.sink {
            older.iter_mut().for_each(|file| file.disable_cleanup(outlives));
        }
        self
    }

    /// Whether what is written is out at once and for good, and how many bytes that are.
    pub(crate) fn is_out(&self) -> Option<u64> {
        matches!(self.sink, Sink::Stdout | Sink::Direct(_)).then_some(self.written)
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// What to call it in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was completed.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.sink, Sink::Done)
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

    /// Makes what was written durable and says how to go on after it.
    pub(crate) fn snapshot(&mut self) -> Result<Aside> {
        let bytes = self.written;
        let out = |finished| Aside { file: PathBuf::new(), bytes, finished, older: Vec::new() };
        let (aside, older) = match &mut self.sink {
            Sink::Aside { aside, older, .. } => (aside, older),
            Sink::Done => return Ok(out(true)),
            // What was written straight out cannot be taken back; but it has begun.
            Sink::Stdout | Sink::Direct(_) => return Ok(out(false)),
        };
        let synced = aside.as_file().sync_data();
        // From here on a later run may need it, so it outlives this stage.
        aside.disable_cleanup(self.outlives);
        let file = aside.path().to_owned();
        let older = older.iter().map(|file| file.to_path_buf()).collect();
        synced.map_err(|e| self.failed(&e))?;
        Ok(Aside { file, bytes, finished: false, older })
    }

    /// Completes the output: only now it stands under its name. Further calls do nothing.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Done) {
            Sink::Stdout | Sink::Done => Ok(()),
            Sink::Direct(mut file) => file.flush().map_err(|e| self.failed(&e)),
            Sink::Aside { mut aside, path, append, mut older } => {
                older.iter_mut().for_each(|file| file.disable_cleanup(false));
                let done = if append && path.exists() {
                    add(&mut aside, &path)
                } else {
                    replace(aside, &path)
                };
                done.map_err(|e| self.failed(&e))
            }
        }
    }

    /// Completes the output, but leaves it aside. `None` when it was complete, or is no file.
    pub(crate) fn complete(&mut self) -> Result<Option<Complete>> {
        match std::mem::replace(&mut self.sink, Sink::Done) {
            Sink::Stdout | Sink::Done | Sink::Direct(_) => Ok(None),
            Sink::Aside { aside, path, older, .. } => {
                aside.as_file().sync_all().map_err(|e| self.failed(&e))?;
                Ok(Some(Complete { aside: aside.into_temp_path(), path, older }))
            }
        }
    }
}

/// A complete file that is still aside.
pub(crate) struct Complete {
    aside: TempPath,
    path: PathBuf,
    older: Vec<TempPath>,
}

/// A [`Complete`] file in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Staged {
    aside: PathBuf,
    path: PathBuf,
    older: Vec<PathBuf>,
}

impl Complete {
    /// Puts the file under its name.
    pub(crate) fn publish(mut self) -> Result<()> {
        self.older.iter_mut().for_each(|file| file.disable_cleanup(false));
        let wrong =
            |e: io::Error| Error::io(format!("{} cannot be written: {e}", self.path.display()));
        self.aside.persist(&self.path).map_err(|e| wrong(e.error))?;
        sync_folder(&self.path).map_err(wrong)
    }

    /// What a snapshot says of it; it outlives the stage when a later run may go on from that.
    pub(crate) fn save(&mut self, outlives: bool) -> Staged {
        let files = self.older.iter_mut().chain([&mut self.aside]);
        files.for_each(|file| file.disable_cleanup(outlives));
        let older = self.older.iter().map(|file| file.to_path_buf()).collect();
        Staged { aside: self.aside.to_path_buf(), path: self.path.clone(), older }
    }

    /// The file of a snapshot; `None` when it was published after that. It stays for as long as a later
    /// run may need it (`outlives`).
    pub(crate) fn restore(staged: Staged, outlives: bool) -> Result<Option<Self>> {
        let Staged { aside, path, older } = staged;
        if !aside.exists() {
            let gone = || {
                format!("the complete {} is gone, and so is {}", aside.display(), path.display())
            };
            return match path.exists() {
                true => Ok(None),
                false => Err(Error::new(ErrorKind::Restore, gone())),
            };
        }
        let aside = TempPath::try_from_path(aside)?;
        let older = older.into_iter().filter_map(|file| TempPath::try_from_path(file).ok());
        let mut complete = Self { aside, path, older: older.collect() };
        complete.save(outlives);
        Ok(Some(complete))
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

/// What was written before the snapshot was taken.
fn earlier(restored: &Aside, path: &Path, append: bool) -> Result<Take<File>> {
    let gone = |e: io::Error| {
        let file = restored.file.display();
        let text = format!("the half-written {file} cannot be gone on with: {e}");
        Error::new(ErrorKind::Restore, text)
    };
    // If the run was completed after the snapshot, its file begins with it.
    let completed = !restored.file.exists() && !append;
    let file = File::open(if completed { path } else { &restored.file }).map_err(gone)?;
    if file.metadata().map_err(gone)?.len() < restored.bytes {
        return Err(gone(io::Error::other("it is shorter than it was")));
    }
    Ok(file.take(restored.bytes))
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
