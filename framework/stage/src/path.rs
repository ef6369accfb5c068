//! What can be known of a path before anything is written to it. Nothing here makes or changes a
//! file.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::{Error, Result};

/// Looks whether a file could be written there aside and then be put in its place. Folders that
/// are missing would be made.
///
/// # Errors
/// Why not; without the option, which [`Error::at`] adds.
pub fn check_replace(path: &Path) -> Result<()> {
    let path = &check_place(path)?;
    match path.exists() && !path.is_file() {
        // A device or a pipe is written as it is.
        true => check_access(path),
        false => check_folder(path),
    }
}

/// Looks whether a file there could be added to, or be made if it is missing. Folders that are
/// missing would be made.
///
/// # Errors
/// As [`check_replace`].
pub fn check_append(path: &Path) -> Result<()> {
    let path = &check_place(path)?;
    match path.exists() {
        true => check_access(path),
        false => check_folder(path),
    }
}

/// The folder that a path is in.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What is written under a path: what a link points to, not the link, also when it is not there yet.
///
/// # Errors
/// When links go in circles.
pub fn resolve_links(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(there) = path.canonicalize() {
            return Ok(there);
        }
        match path.read_link() {
            // An absolute one takes the place of all. `/dev/stdout` leads to no path, but is there.
            Ok(to) if !path.exists() => path = folder(&path).join(to),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("its symbolic links go in circles"))
}

fn check_place(path: &Path) -> Result<PathBuf> {
    let shown = path.display().to_string();
    if shown.is_empty() {
        return Err(Error::io("the path is empty").help("name a file"));
    }
    let path =
        resolve_links(path).map_err(|e| Error::io(format!("`{shown}` cannot be written: {e}")))?;
    if path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::InvalidFilename) {
        return Err(Error::io(format!("`{shown}` is too long for a name of a file")));
    }
    if path.is_dir() || shown.ends_with('/') {
        let inside = format!("{}/out.jsonl", shown.trim_end_matches('/'));
        return Err(Error::io(format!("`{shown}` is a folder"))
            .help(format!("a file in it, such as `{inside}`")));
    }
    if read_only(&path) {
        return Err(Error::io(format!("`{shown}` cannot be written: it is read-only")));
    }
    Ok(path)
}

fn check_access(path: &Path) -> Result<()> {
    refused(path)
        .map_or(Ok(()), |e| Err(Error::io(format!("`{}` cannot be written: {e}", path.display()))))
}

/// The nearest folder that exists is the one to make the others in.
fn check_folder(path: &Path) -> Result<()> {
    let near = folder(path).ancestors().find(|folder| folder.exists());
    let near = near.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = near.display();
    if !near.is_dir() {
        return Err(Error::io(format!("`{shown}` is a file, not a folder")));
    }
    if read_only(near) {
        return Err(Error::io(format!("nothing can be written to the folder `{shown}`")));
    }
    match refused(near) {
        Some(e) => Err(Error::io(format!("nothing can be written to the folder `{shown}`: {e}"))),
        None => Ok(()),
    }
}

/// By its permissions, which hold even for those who could pass over them.
fn read_only(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().readonly())
}

/// Why the operating system would refuse, if it would: another user's file, a disk mounted to be
/// read only.
fn refused(path: &Path) -> Option<io::Error> {
    match access(path, Access::WRITE_OK) {
        Err(e @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Some(e.into()),
        _ => None,
    }
}
