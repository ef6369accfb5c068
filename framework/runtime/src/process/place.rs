//! Which of its standard streams a child has the socket in.

use gristmill_stage::Role;

/// The stream that the socket takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Stdin: stdout is the run's own, for sinks that write to it.
    Stdin,
    /// Stdout: stdin is the run's own, for sources that read it.
    Stdout,
}

impl Place {
    const ARG: &'static str = "--socket";

    pub(crate) fn of(role: Role) -> Self {
        match role {
            Role::Source => Self::Stdout,
            Role::Transform | Role::Sink => Self::Stdin,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
        }
    }

    pub(crate) fn args(self) -> [&'static str; 2] {
        [Self::ARG, self.name()]
    }

    /// The place, if these two arguments name one.
    pub(crate) fn parse(name: &str, value: &str) -> Option<Self> {
        let places = [Self::Stdin, Self::Stdout];
        places.into_iter().find(|place| name == Self::ARG && value == place.name())
    }
}
