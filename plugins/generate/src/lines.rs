//! The lines of a file, of which none is held longer than needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use gristmill_stage::{Error, Result};

/// The longest line that is taken, in bytes without its end. No server takes a longer address.
pub(crate) const LONGEST: usize = 64 << 10;

/// Reads a file line by line, skips comments and blank lines.
pub(crate) struct Lines {
    reader: BufReader<File>,
    buffer: Vec<u8>,
    offset: u64,
    number: u64,
}

/// What a line is.
pub(crate) enum Line<'a> {
    /// A line of text without its end and without blanks around it; not empty.
    Text(&'a str),
    /// A line that cannot be used: its start, and the reason.
    Bad(String, &'static str),
    /// A comment or a blank line.
    Blank,
    /// There are no more lines.
    End,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)
            .map_err(|e| Error::io(format!("{} cannot be read: {e}", path.display())))?;
        let reader = BufReader::with_capacity(128 << 10, file);
        Ok(Self { reader, buffer: Vec::new(), offset: 0, number: 0 })
    }

    /// Bytes read so far: where the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the line last read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Goes on after line `number`, which ended at `offset`.
    pub(crate) fn go_to(&mut self, offset: u64, number: u64) -> Result<()> {
        self.reader.seek(SeekFrom::Start(offset))?;
        (self.offset, self.number) = (offset, number);
        Ok(())
    }

    /// How long the file is, in bytes.
    pub(crate) fn length(&self) -> Result<u64> {
        Ok(self.reader.get_ref().metadata()?.len())
    }

    /// Reads the next line.
    pub(crate) fn read(&mut self) -> Result<Line<'_>> {
        self.buffer.clear();
        let mut length = 0;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            if bytes.is_empty() {
                break;
            }
            let end = bytes.iter().position(|b| *b == b'\n');
            let piece = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
            // Of a line that is too long only the start is kept; it still has to be read past.
            let room = (LONGEST + 2).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&piece[..piece.len().min(room)]);
            let used = piece.len();
            length += used;
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if length == 0 {
            return Ok(Line::End);
        }
        let first = self.offset == 0;
        self.offset += length as u64;
        self.number += 1;
        Ok(classify(&self.buffer, length, first))
    }
}

fn classify(bytes: &[u8], length: usize, first: bool) -> Line<'_> {
    // A mark of UTF-8 at the start of the file is no part of the first line.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| first).unwrap_or(bytes);
    let bytes = bytes.trim_ascii();
    if bytes.first().is_none_or(|b| *b == b'#') {
        return Line::Blank;
    }
    let start = || String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned();
    if length > LONGEST + 2 || bytes.len() > LONGEST {
        return Line::Bad(start(), "the line is longer than 64 KiB");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(_) => Line::Bad(start(), "the line is not UTF-8"),
    }
}
