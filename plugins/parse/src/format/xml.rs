//! XML, by paths, in one pass and without a tree. Entities that a document declares are not known,
//! so none can grow, and nothing outside of the text is read.

use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{Extract, Found, Locator, no_fields, written};
use crate::cells::{Cells, Misfit};
use crate::charset::{HEAD, by_label};
use crate::field::Field;
use crate::options::Options;

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let rows = match &options.rows {
        None => None,
        Some(text) => match path(text) {
            Ok((steps, None)) if !steps.is_empty() => Some(Walk::new(steps)),
            Ok(_) => return Err(wrong_path("rows", text, "it leads to no element")),
            Err(what) => return Err(wrong_path("rows", text, &what)),
        },
    };
    let (mut fields, mut wanted) = (Vec::new(), Vec::new());
    for field in written(options, Locator::Path)? {
        let (steps, attr) =
            path(&field.locator).map_err(|what| wrong_path(&field.path, &field.locator, &what))?;
        if steps.is_empty() && rows.is_none() {
            let what = "it does not begin with the root element";
            return Err(wrong_path(&field.path, &field.locator, what));
        }
        let (all, walk) = (field.map.all, Walk::new(steps));
        wanted.push(Wanted { walk, attr, all, open: false, done: false, text: String::new() });
        fields.push(Field::new(&field.name, &field.map, true)?);
    }
    if fields.is_empty() {
        return Err(no_fields("fields: { title: feed/title, link: feed/link/@href }"));
    }
    let max_depth = usize::try_from(options.max_depth).unwrap_or(usize::MAX);
    Ok(Found { fields, extract: Box::new(Xml { wanted, rows, max_depth }) })
}

fn wrong_path(place: &str, path: &str, what: &str) -> Error {
    Error::option(place, format!("`{path}` is not a path: {what}"))
        .help("write it like `feed/entry/title` or `feed/entry/link/@href`")
}

/// The elements of a path, and the attribute at its end. `.` is no step.
fn path(text: &str) -> Result<(Vec<String>, Option<String>), String> {
    let mut steps = Vec::new();
    let mut words = text.trim().split('/').peekable();
    while let Some(word) = words.next() {
        match word.strip_prefix('@') {
            _ if word.is_empty() => return Err("a name is missing".to_owned()),
            None if word == "." => {}
            None if word.contains(char::is_whitespace) || word.contains(['[', ']', '(', '<']) => {
                return Err(format!("`{word}` is not a name"));
            }
            None => steps.push(word.to_owned()),
            Some("") => return Err("a name is missing after `@`".to_owned()),
            Some(attr) if words.peek().is_none() => return Ok((steps, Some(attr.to_owned()))),
            Some(_) => return Err("an attribute can only be at its end".to_owned()),
        }
    }
    Ok((steps, None))
}

/// A path, and how far the element at hand has come on it.
struct Walk {
    steps: Vec<String>,
    come: usize,
}

impl Walk {
    fn new(steps: Vec<String>) -> Self {
        Self { steps, come: 0 }
    }

    /// Enters an element at this depth, from 1. Whether it is the one that the path leads to.
    fn enter(&mut self, name: &str, depth: usize) -> bool {
        let step = self.steps.get(self.come).filter(|_| self.come + 1 == depth);
        if !step.is_some_and(|step| step == name || step == "*") {
            return false;
        }
        self.come = depth;
        depth == self.steps.len()
    }

    /// Leaves an element at this depth. Whether it was the one that the path leads to.
    fn leave(&mut self, depth: usize) -> bool {
        let here = self.come == depth;
        if here {
            self.come = depth.saturating_sub(1);
        }
        here && depth == self.steps.len()
    }
}

/// One field.
struct Wanted {
    walk: Walk,
    attr: Option<String>,
    all: bool,
    /// Whether the text at hand is in its element.
    open: bool,
    /// Whether it has what it takes from this row.
    done: bool,
    text: String,
}

struct Xml {
    wanted: Vec<Wanted>,
    /// The path to the elements that are rows.
    rows: Option<Walk>,
    max_depth: usize,
}

impl Extract for Xml {
    fn gives_rows(&self) -> bool {
        self.rows.is_some()
    }

    fn declared(&self) -> fn(&[u8]) -> Option<&'static Encoding> {
        declared
    }

    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        if let Some(rows) = &mut self.rows {
            rows.come = 0;
        }
        self.start_row(cells);
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        // The depth of the element at hand, and that of the row it is in.
        let (mut depth, mut row) = (0, self.rows.is_none().then_some(0));
        let mut result = Ok(());
        let mut elements = 0;
        loop {
            match reader.read_event().map_err(|error| not_xml(&error.to_string()))? {
                Event::Start(tag) => {
                    depth += 1;
                    elements += 1;
                    if depth > self.max_depth {
                        let most = self.max_depth;
                        return Err(Misfit(format!("the text nests elements deeper than {most}")));
                    }
                    if let Some(rows) = &mut self.rows
                        && rows.enter(tag.name().0, depth)
                    {
                        row = Some(depth);
                        result = self.open(&tag, 0, cells);
                    } else if let (Some(row), Ok(())) = (row, &result) {
                        result = self.open(&tag, depth - row, cells);
                    }
                }
                Event::End(_) => {
                    if let (Some(row), Ok(())) = (row, &result) {
                        result = self.close(depth - row, cells);
                    }
                    if self.rows.as_mut().is_some_and(|rows| rows.leave(depth)) {
                        row = None;
                        cells.end_match(std::mem::replace(&mut result, Ok(())))?;
                        self.start_row(cells);
                    }
                    depth -= 1;
                }
                Event::Text(text) => self.add(&text.xml10_content(), cells)?,
                Event::CData(text) => self.add(&text.xml10_content(), cells)?,
                Event::GeneralRef(name) => {
                    let name = format!("&{};", name.into_inner());
                    let text = quick_xml::escape::unescape(&name)
                        .map_err(|_| not_xml(&format!("`{name}` is not known")))?;
                    self.add(&text, cells)?;
                }
                Event::Eof if depth > 0 => return Err(not_xml("its last element is not closed")),
                Event::Eof if elements == 0 => return Err(not_xml("it has no element")),
                Event::Eof => break,
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) => {}
                Event::PI(_) | Event::DocType(_) => {}
            }
            // What a row lacks is noted with the row; a text without rows is that row.
            if self.rows.is_none() {
                std::mem::replace(&mut result, Ok(()))?;
            }
        }
        Ok(())
    }
}

impl Xml {
    fn start_row(&mut self, cells: &mut Cells) {
        for (index, wanted) in self.wanted.iter_mut().enumerate() {
            wanted.walk.come = 0;
            (wanted.open, wanted.done) = (false, false);
            if wanted.all {
                cells.open(index);
            }
        }
    }

    /// An element begins, at this depth below the row.
    fn open(
        &mut self,
        tag: &BytesStart<'_>,
        depth: usize,
        cells: &mut Cells,
    ) -> Result<(), Misfit> {
        for (index, wanted) in self.wanted.iter_mut().enumerate() {
            let here = match depth {
                // The row itself.
                0 => wanted.walk.steps.is_empty(),
                _ => wanted.walk.enter(tag.name().0, depth),
            };
            if !here || wanted.done {
                continue;
            }
            let Some(name) = &wanted.attr else {
                wanted.open = true;
                wanted.text.clear();
                continue;
            };
            let value = tag
                .try_get_attribute(name.as_str())
                .map_err(|error| not_xml(&error.to_string()))?;
            if let Some(value) = value {
                let value = value
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_err(|error| not_xml(&error.to_string()))?;
                cells.put(index, &value)?;
            }
            wanted.done = !wanted.all;
        }
        Ok(())
    }

    /// An element ends, at this depth below the row.
    fn close(&mut self, depth: usize, cells: &mut Cells) -> Result<(), Misfit> {
        for (index, wanted) in self.wanted.iter_mut().enumerate() {
            if wanted.walk.leave(depth) && wanted.open {
                wanted.open = false;
                wanted.done = !wanted.all;
                cells.put(index, &wanted.text)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str, cells: &Cells) -> Result<(), Misfit> {
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.open) {
            if wanted.text.len() + text.len() > cells.row_limit() {
                return Err(Misfit("the text of an element makes the row too large".to_owned()));
            }
            wanted.text.push_str(text);
        }
        Ok(())
    }
}

/// The encoding in `<?xml version="1.0" encoding="…"?>`.
fn declared(text: &[u8]) -> Option<&'static Encoding> {
    let text = text.get(..HEAD).unwrap_or(text).strip_prefix(b"<?xml")?;
    let text = text.get(..memchr::memmem::find(text, b"?>")?)?;
    let at = memchr::memmem::find(text, b"encoding")?;
    let value = text.get(at + 8..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, inside) = value.split_first()?;
    by_label(inside.get(..memchr::memchr(*quote, inside)?)?)
}

fn not_xml(what: &str) -> Misfit {
    Misfit(format!("the text is not XML: {what}"))
}
