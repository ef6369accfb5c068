//! What numbered files are called.

use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};

use gristmill_stage::path::folder;

use crate::compression::Compression;

/// The names of files that are `part-00001.csv.gz`, `part-00002.csv.gz`, … for a path `part.csv.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    folder: PathBuf,
    stem: String,
    /// With its dots.
    ending: String,
}

impl Names {
    pub(crate) fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (_, bare) = Compression::of(&name);
        let dot = bare.rfind('.').filter(|dot| *dot > 0).unwrap_or(bare.len());
        let (stem, ending) = name.split_at(dot);
        Self { folder: folder(path).to_owned(), stem: stem.to_owned(), ending: ending.to_owned() }
    }

    /// The file of that number in a folder within that of the path.
    pub(crate) fn file(&self, within: &str, number: u64) -> PathBuf {
        self.folder.join(within).join(format!("{}-{number:05}{}", self.stem, self.ending))
    }

    /// The number that a name holds.
    fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.stem)?.strip_prefix('-')?;
        let digits = digits.strip_suffix(&self.ending)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// The highest number of a file in that folder; 0 when there is none.
    pub(crate) fn highest(&self, within: &str) -> u64 {
        let entries = fs::read_dir(self.folder.join(within));
        let numbers = names(entries.ok()).filter_map(|name| self.number(&name));
        numbers.max().unwrap_or(0)
    }

    /// A file, or a folder of this first column, that is there already.
    pub(crate) fn earlier(&self, column: Option<&str>) -> Option<PathBuf> {
        let is_one = |name: &String| match column {
            Some(column) => name.strip_prefix(column).is_some_and(|rest| rest.starts_with('=')),
            None => self.number(name).is_some(),
        };
        let found = names(fs::read_dir(&self.folder).ok()).filter(is_one);
        let mut found = found.map(|name| self.folder.join(name));
        found.find(|path| column.is_none() || holds_files(path))
    }
}

/// Whether there is a file in a folder, or further down. A run that was broken off leaves folders, and one
/// that was killed leaves files aside in them, whose names begin with a dot.
fn holds_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.into_iter().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_files(&entry.path()),
        _ => !entry.file_name().as_encoded_bytes().starts_with(b"."),
    })
}

fn names(entries: Option<ReadDir>) -> impl Iterator<Item = String> {
    let entries = entries.into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_before_the_endings() {
        for (path, named) in [
            ("out/part.csv.gz", "out/k=v/part-00007.csv.gz"),
            ("part.parquet", "./k=v/part-00007.parquet"),
            ("a.b/part", "a.b/k=v/part-00007"),
            ("a.b.jsonl", "./k=v/a.b-00007.jsonl"),
            (".hidden", "./k=v/.hidden-00007"),
        ] {
            let names = Names::new(Path::new(path));
            assert_eq!(names.file("k=v", 7), Path::new(named), "{path}");
            let name = Path::new(named).file_name().expect("a name").to_string_lossy();
            assert_eq!(names.number(&name), Some(7));
            assert_eq!(names.number("part.csv"), None);
        }
    }
}
