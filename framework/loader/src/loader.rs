//! Opens plugins, each once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_stage::{Error, Kind, Registry, Result};
use serde_json::Value;

use crate::file::{Opened, open};
use crate::kind::Found;
use crate::library::Library;
use crate::search::{SEARCH_PATH, find};

/// A plugin that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its path, or its name.
    pub path: &'a str,
    /// The folder that a path is seen from.
    pub folder: &'a Path,
    /// The SHA-256 that its file must have, in lower-case hexadecimal digits.
    pub sha256: Option<&'a str>,
}

/// The file of a plugin, of which nothing was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its path, without links.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Opens plugins and remembers which.
#[derive(Debug, Default)]
pub struct Loader {
    search: Vec<PathBuf>,
    opened: Vec<((u64, u64), String, Arc<Library>)>,
    strict: bool,
}

impl Loader {
    /// A loader that searches these folders, and after them those of the environment.
    pub fn new(search: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut search: Vec<_> = search.into_iter().collect();
        if let Some(path) = std::env::var_os(SEARCH_PATH) {
            let named = |folder: &PathBuf| !folder.as_os_str().is_empty();
            search.extend(std::env::split_paths(&path).filter(named));
        }
        Self { search, opened: Vec::new(), strict: false }
    }

    /// Looks at every row that stages of these plugins put out, and fails them when a text in it is no
    /// UTF-8. For tests: it takes longer than all else at the border.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Looks at the file of a plugin, as [`open`](Self::open) does before it loads it.
    ///
    /// # Errors
    /// Why it would not be loaded, as far as that can be seen from outside.
    pub fn look(&self, wanted: Wanted<'_>) -> Result<Seen> {
        let path = find(wanted.path, wanted.folder, &self.search)?;
        let Opened { path, sha256, .. } = open(&path, wanted.sha256)?;
        Ok(Seen { path, sha256 })
    }

    /// Opens a plugin.
    ///
    /// # Errors
    /// Why it does not load, as an error of the option `path` or `sha256`.
    pub fn open(&mut self, wanted: Wanted<'_>) -> Result<Arc<Library>> {
        let Wanted { path, folder, sha256 } = wanted;
        let path = find(path, folder, &self.search)?;
        let opened = open(&path, sha256)?;
        let (identity, hash) = (opened.identity, opened.sha256.clone());
        let same = |(known, sha256, _): &&(_, String, _)| *known == identity && *sha256 == hash;
        if let Some((.., library)) = self.opened.iter().find(same) {
            return Ok(library.clone());
        }
        let library = Arc::new(Library::load(opened, self.strict)?);
        self.opened.push((identity, hash, library.clone()));
        Ok(library)
    }

    /// All plugins in a folder, in the order of their names: files that end in `.so`.
    ///
    /// # Errors
    /// When the folder cannot be read, or one of them does not load.
    pub fn open_all(&mut self, folder: &Path) -> Result<Vec<Arc<Library>>> {
        let failed = |e| Error::io(format!("{} cannot be read: {e}", folder.display()));
        let entries = std::fs::read_dir(folder).map_err(failed)?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "so"))
            .collect();
        files.sort();
        let open = |file: &PathBuf| {
            let path = file.file_name().unwrap_or_default().to_string_lossy();
            let path = format!("./{path}");
            self.open(Wanted { path: &path, folder, sha256: None })
        };
        files.iter().map(open).collect()
    }

    /// Finds a kind again that another process has found, by the data of its
    /// [`Provider`](gristmill_stage::Provider).
    ///
    /// # Errors
    /// When the file does not load any more, or is another by now.
    pub fn find_again(&mut self, data: &Value) -> Result<Arc<dyn Kind>> {
        let found: Found = serde_json::from_value(data.clone())
            .map_err(|e| Error::internal(format!("this says nothing of a plugin: {e}")))?;
        let path = found.library.to_string_lossy();
        let wanted = Wanted { path: &path, folder: Path::new("/"), sha256: Some(&found.sha256) };
        let library = self.open(wanted)?;
        let mut kinds = library.kinds(found.namespace.as_deref()).into_iter();
        let kind = kinds.find(|kind| kind.name() == found.kind);
        kind.ok_or_else(|| Error::internal(format!("{path} has no kind `{}`", found.kind)))
    }
}

/// Adds kinds to a registry.
///
/// # Errors
/// When a name is taken, naming both who have it.
pub fn add(registry: &mut Registry, kinds: impl IntoIterator<Item = Arc<dyn Kind>>) -> Result<()> {
    let from = |kind: &dyn Kind| match kind.provider() {
        Some(provider) => format!("from {}", provider.name),
        None => "built in".to_owned(),
    };
    for kind in kinds {
        if let Some(other) = registry.get(kind.name()) {
            // A pipeline may name one plugin twice.
            if other.provider().is_some() && other.provider() == kind.provider() {
                continue;
            }
            let (one, two) = (from(&**other), from(&*kind));
            let text =
                format!("there are two kinds named `{}`: one is {one}, one {two}", kind.name());
            return Err(Error::option("path", text)
                .help("give the plugin a `namespace`, which goes before the names of its kinds"));
        }
        registry.add_kind(kind);
    }
    Ok(())
}
