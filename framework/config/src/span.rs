//! A place in the text of a source, and the lines that places fall on.

use std::ops::Range;

/// A range of bytes of the source text; always on character borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Span {
    /// The bytes from `start` to `end`.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Whether there is nothing in it, as in `key:` without a value.
    pub(crate) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The text it covers; empty when it does not fit the text.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Where the lines of a text begin.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    starts: Vec<usize>,
    len: usize,
}

impl Lines {
    /// The lines of `text`.
    pub(crate) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(breaks).collect(), len: text.len() }
    }

    /// The index, from 0, of the line that holds a byte.
    pub(crate) fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The bytes of a line, its line break left out.
    pub(crate) fn range(&self, line: usize, text: &str) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.len);
        let end = self.starts.get(line + 1).copied().unwrap_or(self.len);
        let content = text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        start..start + content.len()
    }

    /// Line and column of a byte as people count them: both from 1, columns in characters.
    pub(crate) fn position(&self, byte: usize, text: &str) -> (usize, usize) {
        let line = self.line(byte);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = text.get(start..byte.min(self.len)).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }
}

/// Turns positions counted in characters into bytes. Asked in rising order it is linear.
#[derive(Debug)]
pub(crate) struct Chars<'a> {
    text: &'a str,
    /// Byte of every 64th character; none when all characters are single bytes.
    marks: Vec<usize>,
}

impl<'a> Chars<'a> {
    const STEP: usize = 64;

    /// Prepares for `text`.
    pub(crate) fn of(text: &'a str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(Self::STEP).map(|(byte, _)| byte).collect()
        };
        Self { text, marks }
    }

    /// The byte at which the character of this index begins; the end for those beyond.
    pub(crate) fn byte(&self, index: usize) -> usize {
        if self.marks.is_empty() {
            return index.min(self.text.len());
        }
        let Some(mark) = self.marks.get(index / Self::STEP) else { return self.text.len() };
        let rest = self.text.get(*mark..).unwrap_or_default();
        match rest.char_indices().nth(index % Self::STEP) {
            Some((byte, _)) => mark + byte,
            None => self.text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_become_bytes() {
        for text in ["plain".to_owned(), "ü".repeat(200), format!("{}é", "x".repeat(63))] {
            let chars = Chars::of(&text);
            let mut expected: Vec<_> = text.char_indices().map(|(byte, _)| byte).collect();
            expected.extend([text.len(), text.len()]);
            let found: Vec<_> = (0..expected.len()).map(|index| chars.byte(index)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn lines_have_no_line_breaks() {
        let text = "a\r\nbü c\n\nend";
        let lines = Lines::of(text);
        let shown: Vec<_> = (0..4).map(|line| &text[lines.range(line, text)]).collect();
        assert_eq!(shown, ["a", "bü c", "", "end"]);
        assert_eq!(lines.position(text.find('c').unwrap(), text), (2, 4));
        assert_eq!(lines.position(text.len(), text), (4, 4));
    }
}
