//! One output: rows go in, bytes go to where they belong.

use std::fs::File;
use std::io::Take;
use std::path::Path;

use arrow_array::RecordBatch;
use gristmill_stage::{Error, ErrorKind, Result};

use crate::encode::{Encode, Parts};
use crate::target::{Aside, Complete, Target};

/// An output that is being written.
pub(crate) struct Written {
    encoder: Box<dyn Encode>,
    target: Target,
    /// Encoded and not yet written: between calls only what stands before the first rows, which is
    /// written with them.
    bytes: Vec<u8>,
}

impl Written {
    /// Stdout.
    pub(crate) fn stdout(
        encoder: Box<dyn Encode>,
        restored: Option<(Aside, Parts)>,
    ) -> Result<Self> {
        let target = Target::stdout(restored.as_ref().map(|(aside, _)| aside))?;
        Self::new(encoder, target, None, restored.map(|(_, parts)| parts))
    }

    /// A file, which is added to with `append`. What it was copied from after a restart stays for as
    /// long as a later run may need it (`outlives`).
    pub(crate) fn create(
        encoder: Box<dyn Encode>,
        path: &Path,
        append: bool,
        restored: Option<(Aside, Parts)>,
        outlives: bool,
    ) -> Result<Self> {
        let (aside, parts) = restored.unzip();
        let (target, before) = Target::create(path, append, aside, encoder.adds())?;
        Self::new(encoder, target.outlives(outlives), before, parts)
    }

    fn new(
        encoder: Box<dyn Encode>,
        target: Target,
        before: Option<Take<File>>,
        parts: Option<Parts>,
    ) -> Result<Self> {
        let mut written = Self { encoder, target, bytes: Vec::new() };
        let Self { encoder, target, bytes } = &mut written;
        let Some(parts) = parts.filter(|_| !target.is_done()) else {
            if !target.continues() {
                encoder.begin(bytes)?;
            }
            return Ok(written);
        };
        if target.is_out().is_some_and(|bytes| bytes > 0) && !encoder.restarts() {
            return Err(Error::new(
                ErrorKind::Restore,
                format!(
                    "half of a file is out at {} already, and cannot be gone on with",
                    target.name()
                ),
            ));
        }
        encoder.take_over(before, &parts, &mut |bytes| {
            let done = target.write(bytes);
            bytes.clear();
            done
        })?;
        Ok(written)
    }

    /// Takes rows.
    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        self.encoder.rows(batch, &mut self.bytes)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let written = match self.bytes.is_empty() {
            true => Ok(()),
            false => self.target.write(&self.bytes),
        };
        self.bytes.clear();
        written
    }

    /// Completes it: only now it stands under its name. Further calls do nothing.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.target.is_done() {
            return Ok(());
        }
        self.encoder.end(&mut self.bytes)?;
        self.flush()?;
        self.target.finish()
    }

    /// Completes it, but leaves it aside.
    pub(crate) fn complete(&mut self) -> Result<Option<Complete>> {
        self.encoder.end(&mut self.bytes)?;
        self.flush()?;
        self.target.complete()
    }

    /// How large it is, with what is held.
    pub(crate) fn size(&self) -> u64 {
        self.target.written() + self.encoder.held() as u64
    }

    /// Bytes of rows that are held.
    pub(crate) fn held(&self) -> usize {
        self.encoder.held()
    }

    /// Writes the rows that are held.
    pub(crate) fn let_go(&mut self) -> Result<()> {
        self.encoder.let_go(&mut self.bytes)?;
        self.flush()
    }

    /// What is needed to go on, durably.
    pub(crate) fn snapshot(&mut self) -> Result<(Aside, Parts)> {
        let parts = match self.target.is_done() {
            true => Vec::new(),
            false => self.encoder.save(&mut self.bytes)?,
        };
        self.flush()?;
        Ok((self.target.snapshot()?, parts))
    }
}
