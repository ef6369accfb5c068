//! The files that a worker keeps rows in: which they are, and that none stays for ever.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gristmill_stage::{Error, ErrorKind, Result};

const PREFIX: &str = "gristmill-";
/// What files end in: rows to publish, and rows that the database did not take.
const ENDINGS: [&str; 2] = [".spool", ".rejects"];
/// Letters of an identity; nobody draws the same ones again.
const LETTERS: usize = 20;
/// Files that nobody has touched for so long belong to no run.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// The files of one worker. Each part of its rows has two.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
    /// The identity of the worker in its run: also after it was restored.
    id: String,
}

impl Files {
    /// A new identity, with an empty file for the first part.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        let suffix = format!("-0{}", ENDINGS[0]);
        builder.prefix(PREFIX).suffix(&suffix).rand_bytes(LETTERS);
        let wrong = |e: &dyn std::fmt::Display| {
            let text = format!("nothing can be written to the folder `{}`: {e}", folder.display());
            Error::io(text).help("`spool` names the folder for rows that are not yet published")
        };
        let file = builder.tempfile_in(folder).map_err(|e| wrong(&e))?;
        let (_, path) = file.keep().map_err(|e| wrong(&e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = identity(&name).ok_or_else(|| Error::internal("a file without its name"))?;
        Ok(Self { folder: folder.to_owned(), id: id.to_owned() })
    }

    /// The files of an identity from a snapshot.
    pub(crate) fn of(folder: &Path, id: &str) -> Result<Self> {
        match id.len() == LETTERS && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            true => Ok(Self { folder: folder.to_owned(), id: id.to_owned() }),
            false => Err(Error::new(ErrorKind::Restore, "the snapshot names no files")),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The rows of a part.
    pub(crate) fn spool(&self, part: u64) -> PathBuf {
        self.path(part, ENDINGS[0])
    }

    /// The rows of a part that the database did not take.
    pub(crate) fn rejects(&self, part: u64) -> PathBuf {
        self.path(part, ENDINGS[1])
    }

    fn path(&self, part: u64, ending: &str) -> PathBuf {
        self.folder.join(format!("{PREFIX}{}-{part}{ending}", self.id))
    }

    /// Nobody needs this part any more.
    pub(crate) fn remove(&self, part: u64) {
        // A file that cannot be removed does no harm; in a week another run tries again.
        let _ = fs::remove_file(self.spool(part));
        let _ = fs::remove_file(self.rejects(part));
    }

    /// Nobody needs any part any more, nor what a worker has left whose place this one took.
    pub(crate) fn remove_all(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if identity(&entry.file_name().to_string_lossy()) == Some(&self.id) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Removes what runs have left that were killed long ago: files of ours, that nobody has open and
/// nobody has touched for a week.
pub(crate) fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if identity(&name.to_string_lossy()).is_none() {
            continue;
        }
        let touched = entry.metadata().and_then(|found| found.modified());
        let old = touched.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > OLD));
        let path = entry.path();
        // Who is at work on rows holds a lock on their file.
        if old && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The identity in the name of a file of ours.
fn identity(name: &str) -> Option<&str> {
    let name = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    let (id, part) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let ours = id.len() == LETTERS && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (ours && part.parse::<u64>().is_ok()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_files_of_ours_that_nobody_uses_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let [left, used] = [0, 1].map(|_| Files::new(folder.path()).unwrap());
        let foreign = folder.path().join("gristmill-notes.spool");
        fs::write(&foreign, "mine").unwrap();
        let open = File::open(used.spool(0)).unwrap();
        open.lock().unwrap();
        let made = fs::metadata(left.spool(0)).unwrap().modified().unwrap();
        sweep(folder.path(), made + OLD);
        assert!(left.spool(0).exists(), "it is not old yet");
        sweep(folder.path(), made + 2 * OLD);
        assert!(!left.spool(0).exists());
        assert!(used.spool(0).exists() && foreign.exists());
    }
}
