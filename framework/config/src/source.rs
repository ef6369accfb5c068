//! The text of a pipeline and where it came from.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::problem::{Problem, Problems};

/// The largest text that is read: 16 MiB. Ten thousand stages take about one.
const MAX_BYTES: u64 = 16 << 20;

/// What stdin was redirected from.
const STDIN: &str = "/dev/stdin";

/// The text of a pipeline and the name that errors call it by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    file: Option<Arc<Path>>,
    sha256: Arc<str>,
}

impl Source {
    /// A text that is at hand already. A byte order mark at its start is left out.
    pub fn new(name: impl Into<String>, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let sha256: String =
            Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { name: name.into().into(), text: text.into(), file: None, sha256: sha256.into() }
    }

    /// Reads a file; `-` reads standard input.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 16 MiB or is not UTF-8.
    pub fn read(path: &str) -> Result<Self, Problems> {
        let name = if path == "-" { "<stdin>" } else { path };
        let wrong = |problem| Problems::without_text(name, problem);
        let bytes = read_bytes(path).map_err(wrong)?;
        match String::from_utf8(bytes) {
            Ok(text) => {
                // What stdin was redirected from is a file, too, where the system tells.
                let file = Path::new(if path == "-" { STDIN } else { path });
                Ok(Self { file: Some(file.into()), ..Self::new(name, text) })
            }
            Err(error) => Err(wrong(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))),
        }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The SHA-256 of the text as it was read, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The file that it was read from.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The folder of that file; none of a text from elsewhere.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.file().filter(|file| *file != Path::new(STDIN)).and_then(Path::parent)
    }

    /// A name for a pipeline that has none: the stem of the file, in the letters that a name may
    /// have.
    pub(crate) fn stem(&self) -> String {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file);
        if stem.is_empty() || stem.starts_with('<') || stem.chars().all(|c| c == '.') {
            return "pipeline".to_owned();
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        stem.chars().map(|c| if fits(c) { c } else { '-' }).collect()
    }
}

fn read_bytes(path: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::new("there is no such file")
            .help("give the path of a pipeline in YAML, or `-` to read it from standard input"),
        ErrorKind::IsADirectory => {
            Problem::new("this is a folder").help("give the path of a pipeline in YAML")
        }
        _ => Problem::new(format!("the file cannot be read: {error}")),
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::new("the file is larger than 16 MiB")
            .help("a pipeline holds stages, not data: let a stage read the data from a file"));
    }
    Ok(bytes)
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Problem::new("the file is UTF-16").help("save it as UTF-8");
    }
    let line = bytes.iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
    Problem::new(format!(
        "the file is not UTF-8: line {line} has a byte that belongs to no character"
    ))
    .help("save it as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stem_is_a_name() {
        for (file, stem) in [
            ("dir/shop.prices.yaml", "shop.prices"),
            ("my shop.yml", "my-shop"),
            ("<stdin>", "pipeline"),
            (".yaml", "pipeline"),
            ("..", "pipeline"),
        ] {
            assert_eq!(Source::new(file, "").stem(), stem, "{file}");
        }
    }
}
