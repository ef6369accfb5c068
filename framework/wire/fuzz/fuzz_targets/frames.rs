//! Bytes, as the other side might send them: they make messages or an error, and nothing else.
//!
//! The reader of the Arrow IPC format may panic on a length that lies; `gristmill-wire` catches that and
//! makes an error of it. So a panic counts as a find only if it comes from our own code, or if nobody
//! caught it.
//!
//! From `framework/wire`, with `cargo install cargo-fuzz` and the nightly compiler:
//!
//! ```sh
//! cargo +nightly fuzz run frames fuzz/found fuzz/corpus/frames -- \
//!     -malloc_limit_mb=8 -timeout=60 -max_len=32768 -max_total_time=600
//! ```
//!
//! What it finds of interest goes into `fuzz/found`; what is worth keeping, into the corpus, which the
//! test `lies` replays without any of this.
#![no_main]

use std::panic::PanicHookInfo;

use gristmill_wire::{Decoder, FrameReader};
use libfuzzer_sys::fuzz_target;

/// Far below the usual one, so that `-malloc_limit_mb` shows who allocates by what a length says.
const LIMIT: usize = 1 << 20;

fuzz_target!(
    init: std::panic::set_hook(Box::new(hook)),
    |bytes: &[u8]| hear(bytes)
);

fn hook(panic: &PanicHookInfo<'_>) {
    let ours = panic.location().is_none_or(|place| {
        let file = place.file();
        !file.contains("/.cargo/") && !file.contains("/rustc/") && !file.contains("/rustlib/")
    });
    if ours {
        eprintln!("{panic}");
        std::process::abort();
    }
    // Whatever is not caught ends in an abort of the fuzzer.
}

fn hear(mut bytes: &[u8]) {
    // The first byte says in which pieces the others come.
    let Some(piece) = bytes.split_off_first() else { return };
    let piece = usize::from(*piece).pow(2) + 1;
    let (mut reader, mut decoder) = (FrameReader::new(LIMIT), Decoder::new());
    loop {
        loop {
            match reader.next().map(|frame| frame.map(|frame| decoder.decode(frame))) {
                Ok(Some(Ok(_))) => {}
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return,
            }
        }
        if bytes.is_empty() {
            return;
        }
        let space = reader.space();
        assert!(!space.is_empty(), "the reader has no space for what comes");
        let take = piece.min(space.len()).min(bytes.len());
        space[..take].copy_from_slice(&bytes[..take]);
        reader.advance(take);
        bytes = &bytes[take..];
    }
}
