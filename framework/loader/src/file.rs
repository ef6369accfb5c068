//! The file of a plugin: opened once, checked, and loaded from that very descriptor.

use std::fmt::Write;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gristmill_stage::{Error, Result};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};

/// The largest library that is loaded.
const MAX_BYTES: u64 = 1 << 31;
/// Write permission of the group and of all others.
const OTHERS_WRITE: u32 = 0o022;
/// In such a folder nobody can replace the file of another.
const STICKY: u32 = 0o1000;

/// An open file that was checked.
pub(crate) struct Opened {
    /// Its path without links.
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
    /// Device and inode: what makes it the same file.
    pub(crate) identity: (u64, u64),
}

/// Opens a file and checks that nobody else could have put it there.
pub(crate) fn open(path: &Path, pin: Option<&str>) -> Result<Opened> {
    let failed = |e: std::io::Error| {
        Error::option("path", format!("{} cannot be opened: {e}", path.display()))
    };
    let path = path.canonicalize().map_err(failed)?;
    if path.to_str().is_none() {
        let text = format!("{} is no UTF-8", path.display());
        return Err(Error::option("path", text).help("give the file, or its folder, another name"));
    }
    // A pipe would be waited for.
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file =
        OpenOptions::new().read(true).custom_flags(nonblock).open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let wrong = |what: String| Error::option("path", format!("{} {what}", path.display()));
    if metadata.is_dir() {
        return Err(wrong("is a folder".to_owned()).help("give the path of a library"));
    }
    if !metadata.is_file() {
        return Err(wrong("is no regular file".to_owned()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(wrong("is larger than 2 GiB".to_owned()));
    }
    own(&path, &metadata)?;
    if let Some(folder) = path.parent() {
        let metadata = folder.metadata().map_err(failed)?;
        if metadata.mode() & STICKY == 0 {
            own(folder, &metadata)?;
        }
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    (&mut file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let sha256 = hex(&Sha256::digest(&bytes));
    if let Some(pin) = pin.filter(|pin| *pin != sha256) {
        let text = format!("{} is another file than the pinned one", path.display());
        return Err(Error::option("sha256", text).help(format!(
            "its SHA-256 is {sha256}, pinned is {pin}; pin the new one if you trust it"
        )));
    }
    let identity = (metadata.dev(), metadata.ino());
    Ok(Opened { path, bytes, sha256, identity })
}

impl Opened {
    /// A file of the bytes that were checked, which nobody can change any more. The file itself may be
    /// written over at any time, and would be taken for the old one by the system's loader.
    pub(crate) fn sealed(&self) -> Result<File> {
        let failed = |e: std::io::Error| {
            Error::io(format!("{} cannot be copied into memory: {e}", self.path.display()))
        };
        let name = self.path.file_name().unwrap_or_default();
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create(name, flags).map_err(|e| failed(e.into()))?);
        file.write_all(&self.bytes).map_err(failed)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(|e| failed(e.into()))?;
        Ok(file)
    }
}

/// Whoever can write a plugin can do all that this process can.
fn own(path: &Path, metadata: &Metadata) -> Result<()> {
    let wrong = |what: String| Error::option("path", format!("{} {what}", path.display()));
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && owner != user {
        let text = format!("belongs to user {owner}, and this program runs as user {user}");
        return Err(
            wrong(text).help("a plugin can do all that this program can: use a copy of your own")
        );
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(wrong(format!("can be written by others (mode {mode:o})"))
            .help(format!("`chmod go-w {}`, if you trust what is in it", path.display())));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
