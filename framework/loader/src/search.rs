//! Where the file of a plugin is.

use std::path::{Path, PathBuf};

use gristmill_stage::{Error, Result};

/// The environment variable with folders to search for plugins, with colons between them.
pub const SEARCH_PATH: &str = "GRISTMILL_PLUGIN_PATH";

/// The path without the `./` of a pipeline in the current folder.
fn shown(file: &Path) -> String {
    file.strip_prefix(".").unwrap_or(file).display().to_string()
}

/// The file that a pipeline means by `path`: seen from `folder` if there is a slash in it, otherwise the
/// first of that name in the folders of `search`, as it stands or as `lib….so`.
pub(crate) fn find(path: &str, folder: &Path, search: &[PathBuf]) -> Result<PathBuf> {
    if path.contains('/') {
        let file = folder.join(path.strip_prefix("./").unwrap_or(path));
        return match file.exists() {
            true => Ok(file),
            false => Err(Error::option("path", format!("there is no file {}", shown(&file)))
                .help("build the plugin first, or give the path as seen from the pipeline")),
        };
    }
    let names = [path.to_owned(), format!("lib{path}.so"), format!("{path}.so")];
    let files = search.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    if let Some(found) = files.clone().find(|file| file.is_file()) {
        return Ok(found);
    }
    let beside = names.iter().find(|name| folder.join(name).is_file());
    let help = match (beside, search) {
        (Some(name), _) => format!("write `./{name}` for the file beside the pipeline"),
        (None, []) => format!(
            "a name without a slash is looked for in the folders of --plugins and of {SEARCH_PATH}, \
             and there are none; write `./{path}` for a file beside the pipeline"
        ),
        (None, search) => {
            let looked: Vec<_> = search.iter().map(|one| one.display().to_string()).collect();
            format!("looked for {} in {}", names.join(", "), looked.join(", "))
        }
    };
    Err(Error::option("path", format!("there is no plugin `{path}`")).help(help))
}
