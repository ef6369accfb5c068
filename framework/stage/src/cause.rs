//! Why rows are rejected, as one of a few classes.

use crate::{Error, ErrorKind};

/// The classes of reasons for which rows are rejected. Their [`names`](Cause::name) are label values in
/// the metrics, so the set is small and fixed; the sentence beside it says more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Something in the row is missing, or not as it must be.
    #[default]
    Data = 0,
    /// Something outside has failed: a server, a file.
    Io = 1,
    /// It came too late.
    Late = 2,
    /// Whoever should take it has refused it: a database, a program.
    Refused = 3,
    /// Child processes have died on it.
    Died = 4,
}

impl Cause {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Data, Self::Io, Self::Late, Self::Refused, Self::Died];

    /// The class as one lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Io => "io",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Died => "died",
        }
    }

    /// The class that a stage on the other side of a border has said by its number. One that came later
    /// counts as the data; and that children died is for the run to say.
    pub fn said(number: u64) -> Self {
        let known = [Self::Data, Self::Io, Self::Late, Self::Refused];
        known.into_iter().find(|cause| *cause as u64 == number).unwrap_or_default()
    }

    /// The class that an error of a row belongs to.
    pub fn of(error: &Error) -> Self {
        if error.kind() == ErrorKind::Io { Self::Io } else { Self::Data }
    }
}
