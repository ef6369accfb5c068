//! What can go wrong in a stage, said so that the runner can act on it and a person can mend it.

use std::fmt;

/// Result of every call of the contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a stage: what kind, a sentence for people, and, where the cause is an option in the
/// YAML, which option, so that the message can point at its line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    option: Option<String>,
    column: Option<String>,
    help: Option<String>,
}

/// The classes of errors. Their [`names`](ErrorKind::name) are label values in the metrics, so the
/// set is small and fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option is missing, unknown or out of range. Found by `check`.
    Options,
    /// A column is missing or has a type that cannot work. Found by `check`.
    Schema,
    /// The data itself cannot be used. Prefer rejecting the rows.
    Data,
    /// A file, socket or service failed.
    Io,
    /// Whoever takes the output of a sink has left (`| head`). Ends the run in order, without
    /// blame; from any other stage it is a failure.
    Closed,
    /// A snapshot does not fit the stage that should be restored from it.
    Restore,
    /// The stage panicked; made by the runner.
    Panic,
    /// Anything else: a bug or a broken promise of the stage.
    Internal,
}

impl ErrorKind {
    /// Every kind, for those who list them.
    pub const ALL: [Self; 8] = [
        Self::Options,
        Self::Schema,
        Self::Data,
        Self::Io,
        Self::Closed,
        Self::Restore,
        Self::Panic,
        Self::Internal,
    ];

    /// The kind as one lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Schema => "schema",
            Self::Data => "data",
            Self::Io => "io",
            Self::Closed => "closed",
            Self::Restore => "restore",
            Self::Panic => "panic",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), option: None, column: None, help: None }
    }

    /// The option at `path` (dots between the levels, `fields.price.css`, an empty path for the
    /// whole of `with`) is wrong.
    pub fn option(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { option: Some(path.into()), ..Self::new(ErrorKind::Options, message) }
    }

    /// The input has no usable column of this name. The checker adds which columns there are.
    pub fn column(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { column: Some(name.into()), ..Self::new(ErrorKind::Schema, message) }
    }

    /// A column or a type does not fit.
    pub fn schema(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Schema, message)
    }

    /// The data cannot be used.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A file, socket or service failed.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// Whoever takes the output has left.
    pub fn closed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Closed, message)
    }

    /// A bug or a broken promise.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Names the option that is to blame, where it is known only further out.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.option = Some(path.into());
        self
    }

    /// Says what would be right. Shown on a line of its own.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts `what` before the message: where, or on what, the error happened.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people, without the help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The path of the option that is to blame, if one is.
    pub fn option_path(&self) -> Option<&str> {
        self.option.as_deref()
    }

    /// The input column that is to blame, if one is.
    pub fn column_name(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// What would be right, if the stage knows it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        use arrow_schema::ArrowError;
        let kind = match &error {
            ArrowError::SchemaError(_) => ErrorKind::Schema,
            ArrowError::IoError(..) => ErrorKind::Io,
            ArrowError::MemoryError(_) | ArrowError::CDataInterface(_) => ErrorKind::Internal,
            _ => ErrorKind::Data,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        // Also a broken pipe: only the stage knows whether its reader may leave.
        Self::io(error.to_string())
    }
}
