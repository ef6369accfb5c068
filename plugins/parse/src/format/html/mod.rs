//! Web pages, by CSS selectors. The page is parsed as browsers do, and walked once for all fields.

mod charset;
mod css;
mod page;

use std::sync::Arc;

use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};
use scraper::{ElementRef, Node};
use selectors::context::SelectorCaches;

use self::css::Css;
use super::{Compiled, Extract, Locator, no_fields, written};
use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{FieldMap, HtmlPart, Options};

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Compiled> {
    let mut fields = Vec::new();
    let mut wanted = Vec::new();
    for field in written(options, Locator::Css)? {
        let part = Part::new(&field.map, &format!("fields.{}", field.name))?;
        let trim = !matches!(part, Part::Inner | Part::Outer);
        let css = Css::new(&field.locator, &field.path)?;
        wanted.push(Wanted { css, part, all: field.map.all });
        fields.push(Field::new(&field.name, &field.map, trim)?);
    }
    if fields.is_empty() {
        return Err(no_fields("fields: { title: h1, link: { css: a, attr: href } }"));
    }
    let extract =
        Pages { wanted, max_depth: options.max_depth, open: Vec::new(), text: String::new() };
    Ok(Compiled { fields: Arc::from(fields), extract: Box::new(extract) })
}

/// One field: which elements, and what of them.
struct Wanted {
    css: Css,
    part: Part,
    all: bool,
}

/// What of an element is taken.
enum Part {
    /// Its text and that of all elements in it.
    Text {
        collapse: bool,
    },
    /// An attribute, as written and in lower case, as HTML knows it.
    Attr(String, String),
    Inner,
    Outer,
}

impl Part {
    fn new(map: &FieldMap, place: &str) -> Result<Self> {
        match (&map.attr, map.html) {
            (Some(_), Some(_)) => {
                let message = "`attr` and `html` exclude each other";
                Err(Error::option(format!("{place}.html"), message))
            }
            (Some(attr), None) if attr.trim().is_empty() => {
                let message = "the name of the attribute is missing";
                Err(Error::option(format!("{place}.attr"), message))
            }
            (Some(attr), None) => Ok(Self::Attr(attr.clone(), attr.to_ascii_lowercase())),
            (None, Some(HtmlPart::Inner)) => Ok(Self::Inner),
            (None, Some(HtmlPart::Outer)) => Ok(Self::Outer),
            (None, None) => Ok(Self::Text { collapse: map.trim.unwrap_or(true) }),
        }
    }
}

struct Pages {
    wanted: Vec<Wanted>,
    max_depth: u32,
    /// The fields that are still looked for in the page at hand.
    open: Vec<usize>,
    /// The text of the element at hand.
    text: String,
}

impl Extract for Pages {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let page = page::parse(text, self.max_depth)?;
        self.open.clear();
        for (index, wanted) in self.wanted.iter().enumerate() {
            self.open.push(index);
            if wanted.all {
                cells.open(index);
            }
        }
        let mut caches = SelectorCaches::default();
        for node in page.tree.root().descendants() {
            if self.open.is_empty() {
                break;
            }
            let Some(element) = ElementRef::wrap(node) else {
                continue;
            };
            let mut at = 0;
            while let Some(&index) = self.open.get(at) {
                let wanted = &self.wanted[index];
                if !wanted.css.matches(&element, &mut caches) {
                    at += 1;
                    continue;
                }
                put(wanted, element, &mut self.text, index, cells)?;
                if wanted.all {
                    at += 1;
                } else {
                    self.open.swap_remove(at);
                }
            }
        }
        Ok(())
    }

    fn declared(&self) -> fn(&[u8]) -> Option<&'static Encoding> {
        charset::declared
    }
}

/// Puts what is wanted of the element. An attribute that is not there is not put.
fn put(
    wanted: &Wanted,
    element: ElementRef<'_>,
    buffer: &mut String,
    index: usize,
    cells: &mut Cells,
) -> Result<(), Misfit> {
    match &wanted.part {
        Part::Text { collapse } => {
            text_of(element, *collapse, buffer);
            cells.put(index, buffer)
        }
        Part::Attr(name, lower) => match element.attr(lower).or_else(|| element.attr(name)) {
            Some(value) => cells.put(index, value),
            None => Ok(()),
        },
        Part::Inner => cells.put(index, &element.inner_html()),
        Part::Outer => cells.put(index, &element.html()),
    }
}

/// The text of an element. When collapsed, each run of white space is one space, and there is none
/// at the ends.
fn text_of(element: ElementRef<'_>, collapse: bool, buffer: &mut String) {
    buffer.clear();
    let mut space = false;
    for node in element.descendants() {
        let Node::Text(text) = node.value() else {
            continue;
        };
        if !collapse {
            buffer.push_str(text);
            continue;
        }
        for (index, word) in text.split(char::is_whitespace).enumerate() {
            space |= index > 0;
            if !word.is_empty() {
                if space && !buffer.is_empty() {
                    buffer.push(' ');
                }
                buffer.push_str(word);
                space = false;
            }
        }
    }
}

#[cfg(test)]
mod tests;
