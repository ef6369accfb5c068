//! The kinds that a pipeline can name: those that are built in, and those of its plugins.

use std::path::PathBuf;
use std::sync::Arc;

use gristmill_config::{
    PluginDef, PluginOrigin, Plugins, Problems, Source, Variables, problems_beside,
};
use gristmill_loader::{Loader, Wanted, add};
use gristmill_runtime::{find_program_kind, program_kinds};
use gristmill_stage::{Kind, Registry, Result};
use serde_json::Value;

/// A registry of all built-in kinds.
pub fn built_in() -> Registry {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    gristmill_fetch::register(&mut registry);
    gristmill_parse::register(&mut registry);
    gristmill_sql::register(&mut registry);
    gristmill_files::register(&mut registry);
    gristmill_command::register(&mut registry);
    gristmill_flow::register(&mut registry);
    gristmill_shape::register(&mut registry);
    gristmill_databases::register(&mut registry);
    registry
}

/// Finds a kind again that another process of this program has found, by what its
/// [`Provider`](gristmill_stage::Provider) says.
pub fn find_again(data: &Value) -> Result<Arc<dyn Kind>> {
    if let Some(kind) = find_program_kind(data) {
        return kind;
    }
    Loader::default().find_again(data)
}

/// Opens the plugins of pipelines, each once.
pub struct Kinds {
    loader: Loader,
}

impl Kinds {
    /// Plugins without a path are looked for in these folders, and in those of the environment.
    pub fn new(search: &[PathBuf]) -> Self {
        Self { loader: Loader::new(search.iter().cloned()) }
    }

    /// The built-in kinds and those of a pipeline's plugins.
    pub fn of(
        &mut self,
        source: &Source,
        variables: &Variables,
    ) -> std::result::Result<Registry, Problems> {
        let (registry, wrong) = self.known(source, variables);
        wrong.map_or(Ok(registry), Err)
    }

    /// The same, for a pipeline that is to be checked: what is wrong with a plugin does not hide what is
    /// wrong with the stages.
    pub fn for_check(
        &mut self,
        source: &Source,
        variables: &Variables,
    ) -> std::result::Result<Registry, Problems> {
        match self.known(source, variables) {
            (registry, None) => Ok(registry),
            (registry, Some(wrong)) => Err(problems_beside(wrong, source, variables, &registry)),
        }
    }

    /// The kinds that could be had, and what is wrong with the plugins of the others.
    fn known(&mut self, source: &Source, variables: &Variables) -> (Registry, Option<Problems>) {
        let mut registry = built_in();
        let plugins = match Plugins::read(source, variables) {
            Ok(plugins) => plugins,
            Err(wrong) => return (registry, Some(wrong)),
        };
        let mut wrong = Vec::new();
        for plugin in plugins.iter() {
            let kinds = self.open(plugin, &plugins);
            if let Err(error) = kinds.and_then(|kinds| add(&mut registry, kinds)) {
                wrong.push((plugin, error));
            }
        }
        let wrong = (!wrong.is_empty()).then(|| plugins.problems(wrong));
        (registry, wrong)
    }

    /// The kinds of one plugin.
    fn open(&mut self, plugin: &PluginDef, plugins: &Plugins) -> Result<Vec<Arc<dyn Kind>>> {
        match &plugin.origin {
            PluginOrigin::Library { path, sha256 } => {
                let folder = plugins.folder();
                let sha256 = sha256.as_deref();
                let library = self.loader.open(Wanted { path, folder: &folder, sha256 })?;
                Ok(library.kinds(plugin.namespace.as_deref()))
            }
            PluginOrigin::Command { argv } => {
                program_kinds(argv, &plugins.folder(), plugin.namespace.as_deref())
            }
        }
    }

    /// The built-in kinds and those of all libraries in the folders.
    pub fn in_folders(&mut self, folders: &[PathBuf]) -> Result<Registry> {
        let mut registry = built_in();
        for folder in folders {
            for library in self.loader.open_all(folder)? {
                add(&mut registry, library.kinds(None))?;
            }
        }
        Ok(registry)
    }
}
