//! A page as texts and tags, as far as they are written without a doubt.

use memchr::memmem;
use memchr::{memchr, memchr2};

use super::GiveUp;
use super::tags::{Name, Tag};

/// A piece of the page.
pub(super) enum Piece<'t> {
    Text(&'t str),
    /// A start tag. Its attributes are in [`Scan::attrs`].
    Start(Tag, Name),
    End(Tag, Name),
}

/// Goes through a page.
pub(super) struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// The attributes of the start tag at hand, with their escapes.
    pub(super) attrs: Vec<(&'t str, &'t str)>,
}

impl<'t> Scan<'t> {
    /// Gives up on a page with bytes that browsers replace or leave out.
    pub(super) fn new(text: &'t str) -> Result<Self, GiveUp> {
        match memchr(0, text.as_bytes()) {
            None if !text.starts_with('\u{feff}') => Ok(Self { text, at: 0, attrs: Vec::new() }),
            _ => Err(GiveUp),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next piece. Comments are left out.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'t>>, GiveUp> {
        loop {
            let rest = self.rest();
            match rest.as_bytes() {
                [] => return Ok(None),
                [b'<', b'!', ..] => self.declaration(rest)?,
                [b'<', b'/', ..] => {
                    self.at += 2;
                    let name = self.name()?;
                    self.end_of_tag()?;
                    return Ok(Some(Piece::End(Tag::of(&name), name)));
                }
                [b'<', ..] => {
                    self.at += 1;
                    let name = self.name()?;
                    self.attributes()?;
                    let tag = Tag::of(&name);
                    if tag == Tag::Pre {
                        self.leave_newline_out()?;
                    }
                    return Ok(Some(Piece::Start(tag, name)));
                }
                bytes => {
                    let end = memchr(b'<', bytes).unwrap_or(bytes.len());
                    self.at += end;
                    return Ok(Some(Piece::Text(&rest[..end])));
                }
            }
        }
    }

    fn leave_newline_out(&mut self) -> Result<(), GiveUp> {
        match self.rest().as_bytes().first() {
            Some(b'\n') => self.at += 1,
            Some(b'\r') => return Err(GiveUp),
            _ => {}
        }
        Ok(())
    }

    /// A comment or a document type.
    fn declaration(&mut self, rest: &str) -> Result<(), GiveUp> {
        let inside = &rest[2..];
        if let Some(comment) = inside.strip_prefix("--") {
            let end = memmem::find(comment.as_bytes(), b"-->").ok_or(GiveUp)?;
            let content = &comment[..end];
            if content.starts_with(['>', '-']) || content.contains("--") || content.ends_with('-') {
                return Err(GiveUp);
            }
            self.at += 4 + end + 3;
            return Ok(());
        }
        let is_type = inside.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("doctype"));
        let end = memchr(b'>', inside.as_bytes()).filter(|_| is_type).ok_or(GiveUp)?;
        self.at += 2 + end + 1;
        Ok(())
    }

    fn name(&mut self) -> Result<Name, GiveUp> {
        let rest = self.rest().as_bytes();
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
        let end = rest.iter().position(ends).ok_or(GiveUp)?;
        self.at += end;
        Name::new(&rest[..end]).ok_or(GiveUp)
    }

    fn skip_space(&mut self) {
        let rest = self.rest().as_bytes();
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
    }

    fn end_of_tag(&mut self) -> Result<(), GiveUp> {
        self.skip_space();
        match self.rest().as_bytes().first() {
            Some(b'>') => self.at += 1,
            _ => return Err(GiveUp),
        }
        Ok(())
    }

    fn attributes(&mut self) -> Result<(), GiveUp> {
        self.attrs.clear();
        loop {
            self.skip_space();
            let rest = self.rest();
            match rest.as_bytes() {
                [b'>', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                // The slash of `<br/>` says nothing in HTML.
                [b'/', b'>', ..] => {
                    self.at += 2;
                    return Ok(());
                }
                _ => self.attribute(rest)?,
            }
        }
    }

    fn attribute(&mut self, rest: &'t str) -> Result<(), GiveUp> {
        let plain = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | b'@')
        };
        let end = rest.bytes().position(|byte| !plain(&byte)).ok_or(GiveUp)?;
        let name = &rest[..end];
        if name.is_empty() {
            return Err(GiveUp);
        }
        self.at += end;
        let known = self.attrs.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = match rest.as_bytes().get(end) {
            Some(b'=') => {
                self.at += 1;
                self.value()?
            }
            Some(b'>') => "",
            Some(b'/') if rest[end..].starts_with("/>") => "",
            // Another attribute, or white space before `=`, which is rare.
            Some(space) if space.is_ascii_whitespace() => {
                self.skip_space();
                if self.rest().starts_with('=') {
                    return Err(GiveUp);
                }
                ""
            }
            _ => return Err(GiveUp),
        };
        // Of two with one name, the first counts.
        if !known {
            self.attrs.push((name, value));
        }
        Ok(())
    }

    fn value(&mut self) -> Result<&'t str, GiveUp> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        if let [quote @ (b'"' | b'\''), inside @ ..] = bytes {
            let end = memchr(*quote, inside).ok_or(GiveUp)?;
            self.at += end + 2;
            // What comes next is white space or the end, or it is better left to the tree.
            return match inside.get(end + 1) {
                Some(b'>' | b'/') => Ok(&rest[1..=end]),
                Some(space) if space.is_ascii_whitespace() => Ok(&rest[1..=end]),
                _ => Err(GiveUp),
            };
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
        let end = bytes.iter().position(ends).ok_or(GiveUp)?;
        let odd = |byte: &u8| matches!(byte, b'"' | b'\'' | b'<' | b'`');
        if end == 0 || bytes[0] == b'=' || bytes[..end].iter().any(odd) {
            return Err(GiveUp);
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// What is in an element whose content is text up to its end tag, and whether it has escapes.
    /// None for other elements.
    pub(super) fn raw(&mut self, tag: Tag, name: &Name) -> Result<Option<(&'t str, bool)>, GiveUp> {
        if !matches!(tag, Tag::Raw | Tag::RawHead) {
            return Ok(None);
        }
        let rest = self.rest();
        let mut end = 0;
        loop {
            end += memmem::find(&rest.as_bytes()[end..], b"</").ok_or(GiveUp)?;
            let after = rest.as_bytes().get(end + 2..).unwrap_or_default();
            let (word, next) = (after.get(..name.len()), after.get(name.len()));
            if word.is_some_and(|word| name.is(word))
                && next.is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'))
            {
                break;
            }
            end += 2;
        }
        let content = &rest[..end];
        let escapes = name.is(b"title") || name.is(b"textarea");
        let odd = match escapes {
            true => content.starts_with(['\n', '\r']),
            // A script that hides its end.
            false => memmem::find(content.as_bytes(), b"<!--").is_some(),
        };
        if odd {
            return Err(GiveUp);
        }
        self.at += end + 2 + name.len();
        self.end_of_tag()?;
        Ok(Some((content, escapes)))
    }
}

/// Adds text without its escapes: those that every page has, and those by number.
pub(super) fn decode(text: &str, attribute: bool, plain: &mut String) -> Result<(), GiveUp> {
    let mut rest = text;
    while let Some(at) = memchr2(b'&', b'\r', rest.as_bytes()) {
        plain.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'\r' {
            // A newline by itself, or the first half of one.
            plain.push('\n');
            rest = &rest[at + 1..];
            rest = rest.strip_prefix('\n').unwrap_or(rest);
            continue;
        }
        rest = &rest[at + 1..];
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'#';
        let end = rest.bytes().position(|byte| !word(byte)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        match after.as_bytes().first() {
            _ if name.is_empty() => plain.push('&'),
            Some(b';') => {
                plain.push(character(name).ok_or(GiveUp)?);
                rest = &after[1..];
            }
            // As in `?a=1&copy=2`.
            Some(b'=') if attribute && !name.contains('#') => plain.push('&'),
            _ => return Err(GiveUp),
        }
    }
    plain.push_str(rest);
    Ok(())
}

fn character(name: &str) -> Option<char> {
    let code = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        "nbsp" => return Some('\u{a0}'),
        name => {
            let digits = name.strip_prefix('#')?;
            match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            }
        }
    };
    // Some of the others stand for something else.
    let safe = matches!(code, 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfdcf | 0x1_0000..=0x1_fffd);
    char::from_u32(code).filter(|_| safe)
}
