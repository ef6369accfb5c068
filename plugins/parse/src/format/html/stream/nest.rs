//! The open elements, while all is as it should be.

use super::GiveUp;
use super::tags::{Name, Tag};

/// An open element.
struct Element {
    tag: Tag,
    name: Name,
    /// Which parts of selectors it is the last of, and those of the elements around it.
    own: u64,
    above: u64,
}

/// How far the page has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Start,
    Head,
    AfterHead,
    Body,
    AfterBody,
}

/// An element that begins.
pub(super) struct Opened {
    /// Its depth, from 1.
    pub(super) depth: usize,
    /// Which parts of selectors it is the last of.
    pub(super) bits: u64,
    /// Whether something can be in it.
    pub(super) stays: bool,
}

#[derive(Default)]
pub(super) struct Nest {
    open: Vec<Element>,
    phase: Phase,
    deepest: usize,
    /// What the tree would have cost to make, at the most: see `page.rs`.
    steps: usize,
}

/// The steps that `page.rs` allows are per byte, so these are counted generously.
const STEPS_PER_TAG: usize = 64;
const STEPS_PER_DEPTH: usize = 8;
const STEPS_PER_BYTE: usize = 64;
const STEPS_FREE: usize = 1 << 20;

impl Nest {
    pub(super) fn clear(&mut self) {
        self.open.clear();
        (self.phase, self.deepest, self.steps) = (Phase::Start, 0, 0);
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether the tree might have been refused for its depth, or for what it would have cost.
    pub(super) fn too_deep(&self, most: usize, bytes: usize) -> bool {
        self.deepest > most
            || self.steps > STEPS_FREE.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE))
    }

    fn top(&self) -> Option<Tag> {
        self.open.last().map(|element| element.tag)
    }

    fn is_in(&self, tag: Tag) -> bool {
        self.open.iter().any(|element| element.tag == tag)
    }

    pub(super) fn pop(&mut self) {
        self.open.pop();
    }

    fn push(&mut self, tag: Tag, name: Name, bits: impl FnOnce(u64, u64) -> u64) -> u64 {
        let (parent, above) = self.around();
        let own = bits(parent, above);
        self.open.push(Element { tag, name, own, above });
        self.deepest = self.deepest.max(self.open.len());
        own
    }

    /// The bits of the parent, and of all elements around.
    fn around(&self) -> (u64, u64) {
        self.open.last().map_or((0, 0), |parent| (parent.own, parent.own | parent.above))
    }

    /// An element that the page does not name.
    fn imply(&mut self, tag: Tag, name: &str) {
        if let Some(name) = Name::new(name.as_bytes()) {
            self.push(tag, name, |_, _| 0);
        }
    }

    /// Text, not in a raw element.
    pub(super) fn text(&mut self, text: &str) -> Result<(), GiveUp> {
        if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')) {
            return Ok(());
        }
        self.begin_body()?;
        match self.top() {
            Some(top) if top.is_grid() => Err(GiveUp),
            _ => Ok(()),
        }
    }

    /// What follows belongs in the body.
    fn begin_body(&mut self) -> Result<(), GiveUp> {
        match self.phase {
            Phase::Body => return Ok(()),
            Phase::AfterBody => return Err(GiveUp),
            Phase::Start | Phase::Head | Phase::AfterHead => {}
        }
        if self.top() == Some(Tag::Head) {
            self.pop();
        }
        if self.open.is_empty() {
            self.imply(Tag::Html, "html");
        }
        self.imply(Tag::Body, "body");
        self.phase = Phase::Body;
        Ok(())
    }

    /// A start tag. `bits` tells from the bits of the parent and of all around which the element has.
    pub(super) fn start(
        &mut self,
        tag: Tag,
        name: Name,
        bits: impl FnOnce(u64, u64) -> u64,
    ) -> Result<Opened, GiveUp> {
        self.steps += STEPS_PER_TAG + STEPS_PER_DEPTH * self.open.len();
        match tag {
            Tag::Special => return Err(GiveUp),
            Tag::Html | Tag::Head | Tag::Body => self.frame(tag)?,
            Tag::VoidHead | Tag::RawHead if self.phase < Phase::Body => self.in_head()?,
            _ => {
                self.begin_body()?;
                self.in_body(tag)?;
            }
        }
        let stays = !matches!(tag, Tag::Void | Tag::VoidHead | Tag::Rule);
        if stays {
            let bits = self.push(tag, name, bits);
            return Ok(Opened { depth: self.open.len(), bits, stays });
        }
        self.deepest = self.deepest.max(self.open.len() + 1);
        let (parent, above) = self.around();
        Ok(Opened { depth: self.open.len() + 1, bits: bits(parent, above), stays })
    }

    fn frame(&mut self, tag: Tag) -> Result<(), GiveUp> {
        match (tag, self.phase) {
            (Tag::Html, Phase::Start) if self.open.is_empty() => return Ok(()),
            (Tag::Head, Phase::Start) => self.phase = Phase::Head,
            (Tag::Body, Phase::Start | Phase::Head | Phase::AfterHead) => {
                if self.top() == Some(Tag::Head) {
                    self.pop();
                }
                self.phase = Phase::Body;
            }
            _ => return Err(GiveUp),
        }
        if self.open.is_empty() {
            self.imply(Tag::Html, "html");
        }
        Ok(())
    }

    fn in_head(&mut self) -> Result<(), GiveUp> {
        match self.phase {
            Phase::Head => return Ok(()),
            Phase::Start => {}
            _ => return Err(GiveUp),
        }
        if self.open.is_empty() {
            self.imply(Tag::Html, "html");
        }
        self.imply(Tag::Head, "head");
        self.phase = Phase::Head;
        Ok(())
    }

    /// Ends what the tag ends without saying so.
    fn in_body(&mut self, tag: Tag) -> Result<(), GiveUp> {
        if self.top().is_some_and(Tag::is_grid)
            || matches!(tag, Tag::Section | Tag::Row | Tag::Cell)
        {
            return self.in_table(tag);
        }
        match tag {
            Tag::Link | Tag::Form | Tag::Button if self.is_in(tag) => return Err(GiveUp),
            Tag::Heading if self.top() == Some(Tag::Heading) => return Err(GiveUp),
            Tag::Item | Tag::Term => self.end_item(tag)?,
            _ => {}
        }
        if tag.ends_paragraph() {
            self.end_paragraph()?;
        }
        Ok(())
    }

    /// An item ends the one before it, if that is not further out.
    fn end_item(&mut self, tag: Tag) -> Result<(), GiveUp> {
        if self.top() == Some(tag) {
            self.pop();
            return Ok(());
        }
        for element in self.open.iter().rev() {
            match element.tag {
                same if same == tag => return Err(GiveUp),
                Tag::Division | Tag::Paragraph | Tag::Other | Tag::Format | Tag::Link => {}
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), GiveUp> {
        if self.top() == Some(Tag::Paragraph) {
            self.pop();
            return Ok(());
        }
        for element in self.open.iter().rev() {
            match element.tag {
                Tag::Paragraph => return Err(GiveUp),
                Tag::Cell | Tag::Button => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn in_table(&mut self, tag: Tag) -> Result<(), GiveUp> {
        // What an unfinished cell or row before it is ended by.
        if matches!(tag, Tag::Cell | Tag::Row | Tag::Section) && self.top() == Some(Tag::Cell) {
            self.pop();
        }
        if matches!(tag, Tag::Row | Tag::Section) && self.top() == Some(Tag::Row) {
            self.pop();
        }
        if tag == Tag::Section && self.top() == Some(Tag::Section) {
            self.pop();
        }
        if tag == Tag::Row && self.top() == Some(Tag::Table) {
            self.imply(Tag::Section, "tbody");
        }
        match (tag, self.top()) {
            (Tag::Section, Some(Tag::Table))
            | (Tag::Row, Some(Tag::Section))
            | (Tag::Cell, Some(Tag::Row)) => Ok(()),
            _ => Err(GiveUp),
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, tag: Tag, name: &Name) -> Result<(), GiveUp> {
        self.steps += STEPS_PER_TAG + STEPS_PER_DEPTH * self.open.len();
        match (tag, self.phase) {
            (Tag::Head, Phase::Head) => self.phase = Phase::AfterHead,
            // What is open stays so: all that can follow is white space, which goes in there.
            (Tag::Body | Tag::Html, Phase::Body) if !self.is_in(Tag::Table) => {
                self.phase = Phase::AfterBody;
                return Ok(());
            }
            (Tag::Html, Phase::AfterBody) => return Ok(()),
            (Tag::Head | Tag::Html | Tag::Body, _) => return Err(GiveUp),
            (_, Phase::Body) => {}
            _ => return Err(GiveUp),
        }
        match tag {
            // These end nothing but themselves.
            Tag::Format | Tag::Link | Tag::Other => {}
            Tag::Row | Tag::Section | Tag::Table => self.end_of_table(tag),
            _ => {
                while let Some(top) = self.open.last()
                    && top.tag.ends_by_itself()
                    && top.name != *name
                {
                    self.pop();
                }
            }
        }
        match self.open.pop() {
            Some(top) if top.name == *name => Ok(()),
            _ => Err(GiveUp),
        }
    }

    /// The end of a row ends its last cell, and so on.
    fn end_of_table(&mut self, tag: Tag) {
        let inner: &[Tag] = match tag {
            Tag::Row => &[Tag::Cell],
            Tag::Section => &[Tag::Cell, Tag::Row],
            _ => &[Tag::Cell, Tag::Row, Tag::Section],
        };
        for tag in inner {
            if self.top() == Some(*tag) {
                self.pop();
            }
        }
    }
}
