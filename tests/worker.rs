//! The program that the child processes of the tests run.

use std::process::ExitCode;

fn main() -> ExitCode {
    gristmill_runtime::worker(&gristmill_tests::registry()).unwrap_or(ExitCode::FAILURE)
}
