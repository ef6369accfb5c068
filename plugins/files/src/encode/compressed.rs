//! Compressed text: one member of gzip or one frame of Zstandard for a file, since not every reader
//! takes more than the first.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Take, Write};

use arrow_array::RecordBatch;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gristmill_stage::{Error, Result};

use super::text::Text;
use super::{Drain, Encode, Parts};

/// How much is taken over at once.
const CHUNK: usize = 64 << 10;

/// Text that is compressed.
pub(super) struct Compressed {
    text: Text,
    /// Encoded and not yet compressed; empty between calls.
    plain: Vec<u8>,
    packer: Packer,
    /// Whether something was written since the last flush.
    dirty: bool,
}

enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

pub(super) fn gzip(text: Text) -> Compressed {
    let packer = Packer::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default()));
    Compressed { text, plain: Vec::new(), packer, dirty: false }
}

pub(super) fn zstd(text: Text) -> Result<Compressed> {
    let mut encoder =
        zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(Compressed { text, plain: Vec::new(), packer: Packer::Zstd(encoder), dirty: false })
}

impl Packer {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.try_finish(),
            Self::Zstd(encoder) => encoder.do_finish(),
        }
    }
}

impl Compressed {
    fn pack(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        if !self.plain.is_empty() {
            self.packer.writer().write_all(&self.plain)?;
            self.dirty = true;
        }
        self.plain.clear();
        bytes.append(self.packer.out());
        Ok(())
    }
}

impl Encode for Compressed {
    fn begin(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.text.begin(&mut self.plain)?;
        self.pack(bytes)
    }

    fn rows(&mut self, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        self.text.rows(batch, &mut self.plain)?;
        self.pack(bytes)
    }

    fn end(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.packer.end()?;
        bytes.append(self.packer.out());
        Ok(())
    }

    fn save(&mut self, bytes: &mut Vec<u8>) -> Result<Parts> {
        if std::mem::take(&mut self.dirty) {
            self.packer.writer().flush()?;
        }
        bytes.append(self.packer.out());
        Ok(Vec::new())
    }

    fn restarts(&self) -> bool {
        true
    }

    fn take_over(&mut self, written: Option<Take<File>>, _: &Parts, to: Drain<'_>) -> Result<()> {
        let Some(written) = written else { return Ok(()) };
        let mut input: Box<dyn Read> = match &self.packer {
            Packer::Gzip(_) => Box::new(GzDecoder::new(written)),
            Packer::Zstd(_) => Box::new(zstd::stream::read::Decoder::new(written)?),
        };
        let mut bytes = Vec::new();
        self.plain.resize(CHUNK, 0);
        loop {
            let read = match input.read(&mut self.plain) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                // It was flushed and not ended.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => break,
                Err(e) => return Err(Error::io(format!("what was written is broken: {e}"))),
            };
            self.packer.writer().write_all(&self.plain[..read])?;
            self.dirty = true;
            bytes.append(self.packer.out());
            to(&mut bytes)?;
        }
        self.plain.clear();
        Ok(())
    }
}
