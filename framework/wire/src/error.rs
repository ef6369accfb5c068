//! What can be wrong with what the other side sent.

use std::fmt;

/// A frame that breaks the protocol. There is no way to go on after one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(String);

impl WireError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}

impl From<WireError> for gristmill_stage::Error {
    fn from(error: WireError) -> Self {
        Self::internal(error.0)
    }
}
