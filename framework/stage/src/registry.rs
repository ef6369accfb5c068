//! The kinds that a pipeline can name. A value that is passed on, never a global.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kind::Typed;
use crate::{Kind, StageSpec};

/// The known kinds of stages, by name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<String, Arc<dyn Kind>>,
}

impl Registry {
    /// A registry without any kind.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind. One of the same name takes the place of the earlier one, so an embedding program
    /// can replace a built-in kind by its own.
    pub fn add<S: StageSpec>(&mut self, _spec: S) -> &mut Self {
        self.add_kind(Arc::new(Typed::<S>::new()))
    }

    /// Adds a kind that is not written as a [`StageSpec`].
    pub fn add_kind(&mut self, kind: Arc<dyn Kind>) -> &mut Self {
        self.kinds.insert(kind.name().to_owned(), kind);
        self
    }

    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.get(name)
    }

    /// All kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Kind>> {
        self.kinds.values()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}
