//! A library that was opened.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_abi::{ENTRY, Entry, MAGIC, MAJOR, Plugin, read_table};
use gristmill_stage::{Error, Kind, Result};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use crate::bounds;
use crate::elf;
use crate::file::Opened;
use crate::kind::{Described, LoadedKind};

/// More kinds than this no plugin has: a number beyond is no number of kinds.
const MOST_KINDS: usize = 1000;

/// A plugin that was opened, and stays open.
#[derive(Debug, Clone)]
pub struct Library {
    path: PathBuf,
    sha256: String,
    software: String,
    version: (u32, u32),
    kinds: Vec<Arc<Described>>,
    strict: bool,
}

impl Library {
    /// Loads a file that was checked.
    pub(crate) fn load(opened: Opened, strict: bool) -> Result<Self> {
        let symbol = elf::entry(&opened.bytes).map_err(|error| name(error, &opened.path))?;
        let plugin = plugin(opened.sealed()?, &opened.path, &symbol)?;
        let Opened { path, sha256, .. } = opened;
        // SAFETY: the table stays for ever, and its magic says that it is one.
        let (version, software) =
            unsafe { ((plugin.major, plugin.minor), bounds::words(plugin.software)) };
        let broken = |what: &str| {
            let text = format!("{} {what}", path.display());
            Error::option("path", text).help("rebuild it; it may be broken, or not initialised")
        };
        if plugin.kind_count > MOST_KINDS || (plugin.kinds.is_null() && plugin.kind_count > 0) {
            return Err(broken("has a broken list of kinds"));
        }
        let mut kinds: Vec<Arc<Described>> = Vec::with_capacity(plugin.kind_count);
        for index in 0..plugin.kind_count {
            // SAFETY: the list has so many entries.
            let table = unsafe { plugin.kinds.add(index).read() };
            let kind = Described::read(table, &path, &sha256)
                .map_err(|error| error.context(path.display()))?;
            if kinds.iter().any(|other| other.own_name() == kind.own_name()) {
                return Err(broken(&format!("has two kinds named `{}`", kind.own_name())));
            }
            kinds.push(Arc::new(kind));
        }
        if kinds.is_empty() {
            return Err(broken("is a plugin without kinds"));
        }
        Ok(Self { path, sha256, software, version, kinds, strict })
    }

    /// The file, without links in its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of the file, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Name and version, as the plugin says.
    pub fn software(&self) -> &str {
        &self.software
    }

    /// Major and minor version of the interface that it was built for.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Its kinds, with a namespace before their names if there is one.
    pub fn kinds(&self, namespace: Option<&str>) -> Vec<Arc<dyn Kind>> {
        let kind = |described: &Arc<Described>| -> Arc<dyn Kind> {
            Arc::new(LoadedKind::new(described.clone(), namespace, self.strict))
        };
        self.kinds.iter().map(kind).collect()
    }
}

/// Puts the path in where an error speaks of the file.
fn name(error: Error, path: &Path) -> Error {
    let message = error.message().replace("{file}", &path.display().to_string());
    let named = Error::option(error.option_path().unwrap_or("path"), message);
    match error.help_text() {
        Some(help) => named.help(help),
        None => named,
    }
}

/// Loads the bytes behind a descriptor and asks them for their table.
fn plugin(file: File, path: &Path, symbol: &str) -> Result<Plugin> {
    // The very bytes that were checked, whatever the file holds by now.
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: loading runs what the library does at its start. Whoever names a plugin in a pipeline
    // trusts it with the process; that nobody else has put the file there was checked.
    let handle = unsafe { Handle::open(Some(&descriptor), RTLD_NOW | RTLD_LOCAL) };
    let handle = handle.map_err(|error| unloadable(path, &descriptor, &said(&error)))?;
    // Stays open: the name of the descriptor is what the system knows the library by, and another file
    // under that name would be taken for this one.
    std::mem::forget(file);
    // SAFETY: the symbol is a function of this signature: its name says so.
    let entry = unsafe { handle.get::<Entry>(symbol) };
    let entry = entry.map(|entry| *entry).map_err(|error| {
        Error::option("path", format!("{} exports no `{ENTRY}`: {error}", path.display()))
    });
    // What a plugin has made may be used for as long as the process lives.
    let _ = handle.into_raw();
    // SAFETY: the interface says that it can be called at any time and gives a table, or null.
    let table = unsafe { entry?() };
    let broken = |what: String| Error::option("path", format!("{} {what}", path.display()));
    if table.is_null() || !table.is_aligned() {
        return Err(broken("gives no table of its kinds".to_owned()));
    }
    // SAFETY: every version of the table begins with these.
    let (magic, major, minor) = unsafe { ((*table).magic, (*table).major, (*table).minor) };
    if magic != MAGIC {
        return Err(broken("gives a table that is none of a plugin".to_owned())
            .help("its first field must be GRISTMILL_MAGIC"));
    }
    if major != MAJOR {
        return Err(broken(format!(
            "was built for version {major}.{minor} of the plugin interface, this program has {MAJOR}.x"
        ))
        .help(format!("build it with a gristmill-abi, or a gristmill.h, of version {MAJOR}")));
    }
    // SAFETY: it is aligned, and stays for ever.
    unsafe { read_table(table) }
        .map_err(|size| broken(format!("gives a table of {size} bytes, which is too short")))
}

/// What the system says; the error itself says only what was tried.
fn said(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Why the system does not load a library.
fn unloadable(path: &Path, descriptor: &str, said: &str) -> Error {
    let said = said.strip_prefix(&format!("{descriptor}: ")).unwrap_or(said);
    let said = said.replace(descriptor, &path.display().to_string());
    let shown = path.display();
    let error = |text: String| Error::option("path", text);
    if let Some((library, _)) = said.split_once(": cannot open shared object file") {
        return error(format!("{shown} needs the library {library}, which is not there"))
            .help("install it, or add its folder to LD_LIBRARY_PATH");
    }
    if let Some((_, symbol)) = said.split_once("undefined symbol: ") {
        return error(format!("{shown} needs `{symbol}`, which no library of it has"))
            .help("link the library that it is from; in C, `cc -shared -Wl,--no-undefined` tells it when it is built");
    }
    if said.contains("version `GLIBC") {
        return error(format!("{shown} was built for a newer system: {said}"))
            .help("build it on this system, or on an older one");
    }
    error(format!("{shown} cannot be loaded: {said}"))
}
