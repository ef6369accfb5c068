//! The fields of a plain page without its tree.
//!
//! Browsers repair pages: they close what is left open, move what stands in the wrong place, and open
//! again what was closed in the wrong order. A page that needs none of this has the nesting of its
//! tags, and for simple selectors one pass over the tags finds all. [`Stream::find`] gives up at the
//! first thing that it does not know for sure, and the page is then read as a tree: so the rows are
//! the same, and only the time differs.

mod nest;
mod scan;
mod select;
mod tags;

use self::nest::Nest;
use self::scan::{Piece, Scan, decode};
use self::select::Selectors;
use self::tags::{Name, Tag};
use super::Part;
use crate::cells::{Cells, Misfit};

/// One field, as far as it matters here.
struct Wanted {
    part: Take,
    all: bool,
}

enum Take {
    Text { collapse: bool },
    Attr(String),
}

/// Finds the fields of plain pages.
pub(super) struct Stream {
    wanted: Vec<Wanted>,
    selectors: Selectors,
    max_depth: usize,
    nest: Nest,
    /// The values found, in the order in which their elements begin.
    found: Vec<Found>,
    /// Which of them are open: their element has not ended.
    open: Vec<usize>,
    /// Which fields have what they want.
    done: Vec<bool>,
    collapsed: String,
}

/// A value: a field, and its text so far.
struct Found {
    field: usize,
    /// The depth of the element, while it is open.
    depth: usize,
    text: String,
}

/// Nothing is known: the page needs its tree.
pub(super) struct GiveUp;

impl Stream {
    /// None when a field needs the tree.
    pub(super) fn new(fields: &[(&str, &Part, bool)], max_depth: u32) -> Option<Self> {
        let mut wanted = Vec::new();
        let mut selectors = Selectors::default();
        for (css, part, all) in fields {
            let part = match part {
                Part::Text { collapse } => Take::Text { collapse: *collapse },
                Part::Attr(_, lower) => Take::Attr(lower.clone()),
                Part::Inner | Part::Outer => return None,
            };
            selectors.add(css)?;
            wanted.push(Wanted { part, all: *all });
        }
        let done = vec![false; wanted.len()];
        Some(Self {
            wanted,
            selectors,
            max_depth: usize::try_from(max_depth).unwrap_or(usize::MAX),
            nest: Nest::default(),
            found: Vec::new(),
            open: Vec::new(),
            done,
            collapsed: String::new(),
        })
    }

    /// Puts the fields of the page, or gives up before anything is put.
    pub(super) fn find(
        &mut self,
        text: &str,
        cells: &mut Cells,
    ) -> Result<Result<(), Misfit>, GiveUp> {
        self.found.clear();
        self.open.clear();
        self.done.fill(false);
        self.nest.clear();
        self.walk(text, cells.row_limit())?;
        Ok(self.put(cells))
    }

    fn walk(&mut self, text: &str, most: usize) -> Result<(), GiveUp> {
        let mut scan = Scan::new(text)?;
        let mut bytes = 0;
        while let Some(piece) = scan.next()? {
            match piece {
                Piece::Text(text) => {
                    self.nest.text(text)?;
                    bytes += self.add(text, true)?;
                }
                Piece::Start(tag, name) => {
                    self.start(tag, name, &scan)?;
                    if let Some((inside, escapes)) = scan.raw(tag, &name)? {
                        bytes += self.add(inside, escapes)?;
                        self.nest.pop();
                        self.close();
                    }
                }
                Piece::End(tag, name) => {
                    self.nest.end(tag, &name)?;
                    self.close();
                }
            }
            if bytes > most || self.nest.too_deep(self.max_depth, text.len()) {
                return Err(GiveUp);
            }
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag, name: Name, scan: &Scan<'_>) -> Result<(), GiveUp> {
        let selectors = &self.selectors;
        let opened = self
            .nest
            .start(tag, name, |own, above| selectors.matches(&name, &scan.attrs, own, above))?;
        // What was closed without a tag of its own.
        self.close_above(opened.depth);
        let mut last = opened.bits & self.selectors.last();
        if last == 0 {
            return Ok(());
        }
        if tag.is_frame() {
            // Whatever is wrong in a page ends up in its body.
            return Err(GiveUp);
        }
        while last != 0 {
            let field = self.selectors.field(last.trailing_zeros());
            last &= !self.selectors.of(field);
            if !self.done[field] {
                self.take(field, opened.depth, opened.stays, scan)?;
            }
        }
        Ok(())
    }

    /// The element that begins is one of the field's.
    fn take(
        &mut self,
        field: usize,
        depth: usize,
        stays: bool,
        scan: &Scan<'_>,
    ) -> Result<(), GiveUp> {
        let wanted = &self.wanted[field];
        self.done[field] = !wanted.all;
        let mut text = String::new();
        match &wanted.part {
            Take::Text { .. } if stays => self.open.push(self.found.len()),
            Take::Text { .. } => {}
            Take::Attr(name) => match scan.attrs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))
            {
                None => return Ok(()),
                Some((_, value)) => decode(value, true, &mut text)?,
            },
        }
        self.found.push(Found { field, depth, text });
        Ok(())
    }

    /// Adds a piece of text to the values in whose elements it is.
    fn add(&mut self, text: &str, escapes: bool) -> Result<usize, GiveUp> {
        for at in &self.open {
            let found = &mut self.found[*at];
            if !escapes {
                found.text.push_str(text);
            } else {
                decode(text, false, &mut found.text)?;
            }
        }
        Ok(text.len() * self.open.len())
    }

    /// Closes the values whose element has ended.
    fn close(&mut self) {
        self.close_above(self.nest.depth() + 1);
    }

    fn close_above(&mut self, depth: usize) {
        while self.open.last().is_some_and(|at| self.found[*at].depth >= depth) {
            // That of the element which begins now is not there yet.
            self.open.pop();
        }
    }

    fn put(&mut self, cells: &mut Cells) -> Result<(), Misfit> {
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.all {
                cells.open(index);
            }
        }
        for found in &self.found {
            let text = match self.wanted[found.field].part {
                Take::Text { collapse: true } => {
                    self.collapsed.clear();
                    let mut space = false;
                    super::collapse_into(&found.text, &mut space, &mut self.collapsed);
                    &self.collapsed
                }
                _ => &found.text,
            };
            cells.put(found.field, text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
