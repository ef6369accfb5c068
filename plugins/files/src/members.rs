//! Finds the values of wanted members in a JSON line, and checks the line on the way.
//!
//! Only lines that are JSON to the letter are taken. What another reader may still make of the rest,
//! and what is wrong with it, is not decided here.

use std::ops::Range;

/// How deep values may be nested.
const DEPTH: usize = 64;
/// How many names of a line are remembered.
const PLACES: usize = 64 << 10;

/// Where a value stands in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Option<Self> {
        Some(Self { start: u32::try_from(range.start).ok()?, end: u32::try_from(range.end).ok()? })
    }

    /// The range; empty where the line has no such member.
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Finds members by their names. Lines of one file mostly have the same members in the same order,
/// so each name is first compared with the one at its place in the line before.
pub(crate) struct Members<'a> {
    wanted: Vec<&'a str>,
    before: Vec<Name>,
}

/// A name with its quotes, and which of the wanted ones it is.
struct Name {
    quoted: Vec<u8>,
    wanted: Option<usize>,
}

impl Name {
    /// Whether the text begins with the name. Most names have eight to sixteen bytes with their
    /// quotes, and two words cover these.
    fn begins(&self, text: &[u8]) -> bool {
        let Some(rest) = self.quoted.len().checked_sub(8).filter(|rest| *rest <= 8) else {
            return text.starts_with(&self.quoted);
        };
        let word = |text: &[u8]| text.first_chunk::<8>().copied().map(u64::from_ne_bytes);
        match (text.get(rest..), self.quoted.get(rest..)) {
            (Some(end), Some(name)) => {
                word(text) == word(&self.quoted) && word(end).is_some() && word(end) == word(name)
            }
            _ => false,
        }
    }
}

impl<'a> Members<'a> {
    pub(crate) fn new(wanted: Vec<&'a str>) -> Self {
        Self { wanted, before: Vec::new() }
    }

    /// Finds the wanted values of the line that is this range of the text, with its line end if it
    /// has one; of a name that comes twice the last. `None` when the line is no JSON object.
    pub(crate) fn find(
        &mut self,
        text: &[u8],
        line: &Range<usize>,
        found: &mut [Span],
    ) -> Option<()> {
        let mut at = space(text, line.start);
        at = space(text, byte(text, at, b'{')?);
        let mut place = 0;
        if *text.get(at)? != b'}' {
            loop {
                let (wanted, after) = self.name(text, at, place)?;
                let start = space(text, byte(text, space(text, after), b':')?);
                let end = value(text, start, DEPTH)?;
                if let Some(span) = wanted.and_then(|wanted| found.get_mut(wanted)) {
                    *span = Span::new(start..end)?;
                }
                at = space(text, end);
                match text.get(at)? {
                    b',' => at = space(text, at + 1),
                    b'}' => break,
                    _ => return None,
                }
                place += 1;
            }
        }
        let end = space(text, at + 1);
        let rest = text.get(end..line.end)?;
        (rest.is_empty() || rest == b"\n").then_some(())
    }

    /// Which of the wanted names stands here, and where it ends.
    fn name(&mut self, text: &[u8], at: usize, place: usize) -> Option<(Option<usize>, usize)> {
        if let Some(before) = self.before.get(place)
            && before.begins(text.get(at..)?)
        {
            return Some((before.wanted, at + before.quoted.len()));
        }
        let start = byte(text, at, b'"')?;
        let end = plain(text, start);
        // A name with an escape is rare enough to be left to others.
        let after = byte(text, end, b'"')?;
        let name = text.get(start..end)?;
        let wanted = self.wanted.iter().position(|wanted| wanted.as_bytes() == name);
        let quoted = text.get(at..after)?;
        match self.before.get_mut(place) {
            Some(before) => {
                before.quoted.clear();
                before.quoted.extend_from_slice(quoted);
                before.wanted = wanted;
            }
            None if place < PLACES => self.before.push(Name { quoted: quoted.to_vec(), wanted }),
            None => {}
        }
        Some((wanted, after))
    }
}

/// The place after this byte, if it stands here.
fn byte(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*text.get(at)? == byte).then_some(at + 1)
}

/// The place after white space. A line end is none: no value goes over it.
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The place after the value that begins here.
fn value(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    match *text.get(at)? {
        b'"' => string(text, at + 1),
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => literal(text, at, b"true"),
        b'f' => literal(text, at, b"false"),
        b'n' => literal(text, at, b"null"),
        b'[' if depth > 0 => list(text, at + 1, depth - 1),
        b'{' if depth > 0 => object(text, at + 1, depth - 1),
        _ => None,
    }
}

fn literal(text: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

fn number(text: &[u8], at: usize) -> Option<usize> {
    let mut at = if text.get(at) == Some(&b'-') { at + 1 } else { at };
    at = match text.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(text, at)?,
        _ => return None,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(text, at + 1 + usize::from(sign))?;
    }
    Some(at)
}

/// The place after the digits that stand here, at least one.
fn digits(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > start).then_some(at)
}

/// The place after a string, from behind its opening quote.
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain(text, at);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(text, at + 1)?,
            // A control character has to be escaped.
            _ => return None,
        }
    }
}

/// The place after an escape, from behind its backslash.
fn escape(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => match unit(text, at + 1)? {
            0xD800..=0xDBFF if text.get(at + 5..at + 7)? == b"\\u" => {
                matches!(unit(text, at + 7)?, 0xDC00..=0xDFFF).then_some(at + 11)
            }
            // Half a character.
            0xD800..=0xDFFF => None,
            _ => Some(at + 5),
        },
        _ => None,
    }
}

/// The four hexadecimal digits that stand here.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?.iter();
    digits.copied().try_fold(0, |sum, digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
}

fn list(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = space(text, at);
    if *text.get(at)? == b']' {
        return Some(at + 1);
    }
    loop {
        at = space(text, value(text, at, depth)?);
        match text.get(at)? {
            b',' => at = space(text, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn object(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = space(text, at);
    if *text.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        at = space(text, string(text, byte(text, at, b'"')?)?);
        at = space(text, byte(text, at, b':')?);
        at = space(text, value(text, at, depth)?);
        match text.get(at)? {
            b',' => at = space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The place of the next byte that has a meaning in a string: a quote, a backslash, or a control
/// character, which must not be there. Eight bytes are looked at together.
fn plain(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of the lowest byte below `n` is set; higher ones may be set in vain.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        match quote | backslash | below(word, 0x20) {
            0 => at += 8,
            found => return at + (found.trailing_zeros() / 8) as usize,
        }
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}
