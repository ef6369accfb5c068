//! The ways to misbehave.

use std::io::Read;

use rustix::process::{Signal, getpid, kill_process};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a broken stage does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Harm {
    /// Nothing.
    #[default]
    None,
    /// As if it were killed by somebody, or for lack of memory.
    Kill,
    /// As if it followed a wild pointer.
    Segv,
    /// Gives itself up.
    Abort,
    /// Ends the process, as if all were done.
    Exit,
    /// Panics.
    Panic,
    /// Asks for more memory than there is.
    Memory,
    /// Keeps 16 MiB for ever, and goes on.
    Leak,
    /// Never comes back.
    Hang,
    /// Uses up processor time.
    Spin,
    /// Rejects what it was given, and fails.
    Fail,
    /// Prints to stdout and stderr and goes on.
    Print,
}

impl Harm {
    #[expect(clippy::disallowed_methods, reason = "to end the process is one of the ways")]
    pub(crate) fn act(self) {
        match self {
            Self::None | Self::Fail => {}
            Self::Kill => signal(Signal::KILL),
            Self::Segv => {
                // Rust's own handler lets the first pass, as no address is at fault.
                signal(Signal::SEGV);
                signal(Signal::SEGV);
            }
            Self::Abort => std::process::abort(),
            Self::Exit => std::process::exit(0),
            #[expect(clippy::panic, reason = "that is what it is for")]
            Self::Panic => panic!("this row is too much"),
            Self::Memory => {
                let mut held = Vec::new();
                loop {
                    held.push(vec![1_u8; 16 << 20]);
                    std::hint::black_box(&held);
                }
            }
            Self::Leak => std::mem::forget(std::hint::black_box(vec![1_u8; 16 << 20])),
            // Waits for what never comes, which costs no processor time.
            Self::Hang => {
                if let Ok((mut from, _to)) = std::io::pipe() {
                    let _ = from.read(&mut [0]);
                }
            }
            Self::Spin => loop {
                std::hint::spin_loop();
            },
            Self::Print => {
                println!("from stdout");
                eprintln!("from stderr");
            }
        }
    }
}

fn signal(signal: Signal) {
    // If it cannot be sent, the test sees that nothing happened.
    let _ = kill_process(getpid(), signal);
}
