//! Compressed inputs: what they are compressed with, and their bytes without it.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::Deserialize;

/// What text is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard, of one frame or several.
    Zstd,
}

impl Compression {
    /// What the ending of a path stands for, and the path without that ending.
    pub(crate) fn of(path: &str) -> (Option<Self>, &str) {
        let Some((bare, ending)) = path.rsplit_once('.') else { return (None, path) };
        match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => (Some(Self::Gzip), bare),
            "zst" | "zstd" => (Some(Self::Zstd), bare),
            _ => (None, path),
        }
    }

    /// What the first bytes of a file stand for.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MAGIC);
        File::open(path)?.take(MAGIC as u64).read_to_end(&mut head)?;
        Ok(Self::of_bytes(&head))
    }

    /// What the first bytes of an input stand for. No text begins with them: they are not UTF-8.
    fn of_bytes(head: &[u8]) -> Self {
        match head {
            _ if head.starts_with(&GZIP) => Self::Gzip,
            _ if head.starts_with(&ZSTD) => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// What compressed data begins with.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// How many bytes tell what an input is compressed with, at the most.
const MAGIC: usize = ZSTD.len();

/// Whether more bytes are needed to tell: a short line should not have to wait for them.
fn undecided(head: &[u8]) -> bool {
    let begins = |magic: &[u8]| head.len() < magic.len() && magic.starts_with(head);
    begins(&GZIP) || begins(&ZSTD)
}

/// The bytes of an input without its compression, from `offset` of them on.
pub(crate) fn decoded_at<R: Read + Send + 'static>(
    input: R,
    compression: Option<Compression>,
    offset: u64,
) -> io::Result<Box<dyn Read + Send>> {
    let mut decoded = Decoded::new(input, compression)?;
    let passed = io::copy(&mut (&mut decoded).take(offset), &mut io::sink())?;
    match passed == offset {
        true => Ok(Box::new(decoded)),
        false => Err(io::Error::other("it is shorter than it was")),
    }
}

/// An input without its compression.
pub(crate) enum Decoded<R: Read> {
    /// The first bytes have to tell.
    Unknown {
        head: Vec<u8>,
        input: Option<R>,
    },
    Plain(io::Chain<Cursor<Vec<u8>>, R>),
    Gzip(Box<MultiGzDecoder<io::Chain<Cursor<Vec<u8>>, R>>>),
    Zstd(zstd::stream::read::Decoder<'static, io::BufReader<io::Chain<Cursor<Vec<u8>>, R>>>),
    /// The data was broken or cut short, and stays so: no later read may take it for the end.
    Broken(ErrorKind, String),
}

impl<R: Read> Decoded<R> {
    /// The bytes of an input; `None` lets its first bytes tell. An error
    /// [`ErrorKind::WouldBlock`] of the input is passed on, and reading goes on after it.
    pub(crate) fn new(input: R, compression: Option<Compression>) -> io::Result<Self> {
        match compression {
            None => Ok(Self::Unknown { head: Vec::with_capacity(MAGIC), input: Some(input) }),
            Some(compression) => Self::known(Vec::new(), input, compression),
        }
    }

    fn known(head: Vec<u8>, input: R, compression: Compression) -> io::Result<Self> {
        let input = Cursor::new(head).chain(input);
        Ok(match compression {
            Compression::None => Self::Plain(input),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Zstd => Self::Zstd(zstd::stream::read::Decoder::new(input)?),
        })
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Unknown { head, input } = self {
            while undecided(head) {
                let mut more = [0; MAGIC];
                let Some(from) = input.as_mut() else { break };
                match from.read(&mut more[..MAGIC - head.len()]) {
                    Ok(0) => break,
                    Ok(read) => head.extend_from_slice(&more[..read]),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            let compression = Compression::of_bytes(head);
            if let Some(input) = input.take() {
                *self = Self::known(std::mem::take(head), input, compression)?;
            }
        }
        let (read, what) = match self {
            Self::Unknown { .. } => return Ok(0),
            Self::Plain(input) => return input.read(buffer),
            Self::Gzip(input) => (input.read(buffer), "gzip"),
            Self::Zstd(input) => (input.read(buffer), "zstd"),
            Self::Broken(kind, text) => return Err(io::Error::new(*kind, text.clone())),
        };
        read.map_err(|e| {
            let text = match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return e,
                ErrorKind::UnexpectedEof => format!("its {what} data is cut short"),
                _ => format!("its {what} data is broken: {e}"),
            };
            *self = Self::Broken(e.kind(), text.clone());
            io::Error::new(e.kind(), text)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Gives a byte at a time, and nothing before each.
    struct Slow(Vec<u8>, usize, bool);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let Some(byte) = self.0.get(self.1) else { return Ok(0) };
            (buffer[0], self.1) = (*byte, self.1 + 1);
            Ok(1)
        }
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("written");
        encoder.finish().expect("written")
    }

    fn read(input: Vec<u8>, compression: Option<Compression>) -> (String, Option<String>) {
        let mut decoded = Decoded::new(Slow(input, 0, false), compression).expect("a decoder");
        let (mut text, mut part) = (Vec::new(), [0; 7]);
        let error = loop {
            match decoded.read(&mut part) {
                Ok(0) => break None,
                Ok(read) => text.extend_from_slice(&part[..read]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => {
                    let again = decoded.read(&mut part).map_err(|again| again.to_string());
                    assert_eq!(again, Err(e.to_string()), "it stays broken");
                    break Some(e.to_string());
                }
            }
        };
        (String::from_utf8(text).expect("text"), error)
    }

    #[test]
    fn the_first_bytes_tell_and_waits_do_no_harm() {
        let long = "a line\n".repeat(100);
        let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("written");
        for text in ["", "a", "abc", &long] {
            assert_eq!(read(text.into(), None), (text.to_owned(), None));
            for packed in [gzip(text), zstd(text)] {
                assert_eq!(read(packed, None), (text.to_owned(), None));
            }
        }
        for packed in [[gzip(&long), gzip("b\n")].concat(), [zstd(&long), zstd("b\n")].concat()] {
            assert_eq!(read(packed, None), (format!("{long}b\n"), None), "several parts");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_such_data_is_an_error() {
        let whole = gzip(&"a line\n".repeat(100));
        for length in [0, 5, 12, whole.len() - 9, whole.len() - 1] {
            let (_, error) = read(whole[..length].to_vec(), Some(Compression::Gzip));
            assert_eq!(error.as_deref(), Some("its gzip data is cut short"), "{length}");
        }
        let whole = zstd::encode_all(&b"a line\n"[..], 1).expect("written");
        let (_, error) = read(whole[..whole.len() - 1].to_vec(), None);
        assert_eq!(error.as_deref(), Some("its zstd data is cut short"));
        let (_, error) = read(b"plain text".to_vec(), Some(Compression::Gzip));
        assert!(error.is_some_and(|e| e.starts_with("its gzip data is broken")));
    }
}
