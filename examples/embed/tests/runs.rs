//! The example prints what it says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn it_counts_the_steps() {
    let folder = std::env::temp_dir();
    let run = Command::new(env!("CARGO_BIN_EXE_gristmill-example-embed"))
        .current_dir(folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&run.stdout);
    // The longest way from a number up to 10,000 is that of 6171.
    assert_eq!(
        printed,
        "5000 even numbers, at most 238 steps\n5000 odd numbers, at most 261 steps\n",
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
