//! How a child process came to its end.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

/// The classes of deaths: label values in the metrics, so the set is small and fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeathClass {
    /// Killed by SIGKILL: by somebody, or by a machine out of memory.
    Killed,
    /// A wild pointer: SIGSEGV, SIGBUS, SIGILL, SIGFPE.
    Crashed,
    /// SIGABRT: it gave itself up, as when it asks for more memory than it may have.
    Aborted,
    /// It used more processor time than its limit.
    Cpu,
    /// Another signal.
    Signal,
    /// It ended by itself, without being asked.
    Exited,
    /// The stage panicked.
    Panicked,
    /// It did not answer, or one call took too long; it was killed for it.
    Hung,
    /// It said something that is not in the protocol; it was killed for it.
    Protocol,
}

impl DeathClass {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::Crashed,
        Self::Aborted,
        Self::Cpu,
        Self::Signal,
        Self::Exited,
        Self::Panicked,
        Self::Hung,
        Self::Protocol,
    ];

    /// The class as one lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::Aborted => "aborted",
            Self::Cpu => "cpu",
            Self::Signal => "signal",
            Self::Exited => "exited",
            Self::Panicked => "panicked",
            Self::Hung => "hung",
            Self::Protocol => "protocol",
        }
    }
}

/// How a process came to its end, as the end of a sentence.
pub fn how_it_ended(status: ExitStatus) -> String {
    Death::of(status).text
}

/// A death, in words and as a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) class: DeathClass,
    pub(crate) text: String,
}

impl Death {
    pub(crate) fn new(class: DeathClass, text: impl Into<String>) -> Self {
        Self { class, text: text.into() }
    }

    /// The death that a status tells of.
    pub(crate) fn of(status: ExitStatus) -> Self {
        if let Some(code) = status.code() {
            return Self::new(DeathClass::Exited, format!("it ended by itself with code {code}"));
        }
        let number = status.signal().unwrap_or(0);
        let signal = Signal::from_named_raw(number);
        let (class, name) = match signal {
            Some(Signal::KILL) => (DeathClass::Killed, "SIGKILL"),
            Some(Signal::SEGV) => (DeathClass::Crashed, "SIGSEGV"),
            Some(Signal::BUS) => (DeathClass::Crashed, "SIGBUS"),
            Some(Signal::ILL) => (DeathClass::Crashed, "SIGILL"),
            Some(Signal::FPE) => (DeathClass::Crashed, "SIGFPE"),
            Some(Signal::ABORT) => (DeathClass::Aborted, "SIGABRT"),
            Some(Signal::XCPU) => (DeathClass::Cpu, "SIGXCPU: it used up its processor time"),
            Some(Signal::TERM) => (DeathClass::Signal, "SIGTERM"),
            _ => (DeathClass::Signal, "another signal"),
        };
        Self::new(class, format!("it was killed by signal {number} ({name})"))
    }

    /// With the last line that it wrote to stderr.
    #[must_use]
    pub(crate) fn last_words(mut self, line: Option<String>) -> Self {
        if let Some(line) = line.filter(|line| !line.is_empty()) {
            self.text = format!("{}; its last line: {line}", self.text);
        }
        self
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
