//! Web pages, by CSS selectors. The page is parsed as browsers do, and walked once for all fields.

mod charset;
mod css;
mod page;
mod stream;

use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};
use scraper::{ElementRef, Html, Node};
use selectors::context::SelectorCaches;

use self::css::Css;
use self::stream::Stream;
use super::{Extract, Found, Locator, no_fields, written};
use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{FieldMap, HtmlPart, Options};

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let rows = options.rows.as_deref().map(|css| Css::new(css, "rows")).transpose()?;
    let mut fields = Vec::new();
    let mut wanted = Vec::new();
    for field in written(options, Locator::Css)? {
        let part = Part::new(&field.map, &format!("fields.{}", field.name))?;
        let trim = !matches!(part, Part::Inner | Part::Outer);
        let css = Css::new(&field.locator, &field.path)?;
        let (all, outside) = (field.map.all, field.map.outside);
        if outside && rows.is_none() {
            let message = "`outside` has a meaning only with `rows`";
            return Err(Error::option(format!("fields.{}.outside", field.name), message));
        }
        wanted.push(Wanted { css, part, all, outside });
        fields.push(Field::new(&field.name, &field.map, trim)?);
    }
    if fields.is_empty() {
        return Err(no_fields("fields: { title: h1, link: { css: a, attr: href } }"));
    }
    let max_depth = options.max_depth;
    let simple: Vec<_> = wanted.iter().map(|w| (w.css.text(), &w.part, w.all)).collect();
    let stream = match rows {
        None => Stream::new(&simple, max_depth),
        Some(_) => None,
    };
    let extract = Pages { wanted, rows, max_depth, stream, open: Vec::new(), text: String::new() };
    Ok(Found { fields, extract: Box::new(extract) })
}

/// One field: which elements, and what of them.
struct Wanted {
    css: Css,
    part: Part,
    all: bool,
    /// Whether it is looked for in the whole page although there are `rows`.
    outside: bool,
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
    /// The elements that are rows.
    rows: Option<Css>,
    max_depth: u32,
    /// Finds the fields without a tree where a page and all fields allow it.
    stream: Option<Stream>,
    /// The fields that are still looked for in the page, or the row, at hand.
    open: Vec<usize>,
    /// The text of the element at hand.
    text: String,
}

/// Rows may lie in each other, and each is walked through: so many times the bytes of the page may
/// be visited in all, and so many nodes in any case.
const VISITS_PER_BYTE: usize = 4;
const VISITS_FREE: usize = 1 << 20;

impl Extract for Pages {
    fn gives_rows(&self) -> bool {
        self.rows.is_some()
    }

    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        if let Some(stream) = &mut self.stream
            && let Ok(found) = stream.find(text, cells)
        {
            return found;
        }
        let page = page::parse(text, self.max_depth)?;
        if self.rows.is_some() {
            return self.rows(&page, text.len(), cells);
        }
        let mut caches = SelectorCaches::default();
        self.open(false, cells);
        self.find(&page, None, &mut caches, &mut |index, text| cells.put(index, text)).map(drop)
    }

    fn declared(&self) -> fn(&[u8]) -> Option<&'static Encoding> {
        charset::declared
    }
}

/// Takes a value that was found for a field.
type Put<'a> = dyn FnMut(usize, &str) -> Result<(), Misfit> + 'a;

impl Pages {
    /// Puts a row for each element that is one.
    fn rows(&mut self, page: &Html, bytes: usize, cells: &mut Cells) -> Result<(), Misfit> {
        let most = VISITS_FREE.saturating_add(bytes.saturating_mul(VISITS_PER_BYTE));
        let mut visits = 0;
        let mut caches = SelectorCaches::default();
        let mut outside = Vec::new();
        if self.wanted.iter().any(|wanted| wanted.outside) {
            self.open(true, cells);
            self.find(page, None, &mut caches, &mut |index, text| {
                outside.push((index, text.to_owned()));
                Ok(())
            })?;
        }
        for node in page.tree.root().descendants() {
            let is_row = |row: &ElementRef<'_>, caches: &mut SelectorCaches| {
                self.rows.as_ref().is_some_and(|rows| rows.matches(row, None, caches))
            };
            let Some(row) = ElementRef::wrap(node).filter(|row| is_row(row, &mut caches)) else {
                continue;
            };
            self.open(true, cells);
            let mut found = outside.iter().try_for_each(|(index, text)| cells.put(*index, text));
            if found.is_ok() {
                self.open(false, cells);
                let mut put = |index: usize, text: &str| cells.put(index, text);
                found = self.find(page, Some(row), &mut caches, &mut put).map(|n| visits += n);
            }
            if visits > most {
                let reason = "the elements that `rows` finds lie in each other too often";
                return Err(Misfit(reason.to_owned()));
            }
            cells.end_match(found)?;
        }
        Ok(())
    }

    /// Makes the fields ready to be found that are looked for in rows, or those outside.
    fn open(&mut self, outside: bool, cells: &mut Cells) {
        self.open.clear();
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.outside == outside {
                self.open.push(index);
                if wanted.all {
                    cells.open(index);
                }
            }
        }
    }

    /// Puts what is found of the open fields in the row, or in the whole page. How many nodes were
    /// visited.
    fn find(
        &mut self,
        page: &Html,
        row: Option<ElementRef<'_>>,
        caches: &mut SelectorCaches,
        put: &mut Put<'_>,
    ) -> Result<usize, Misfit> {
        let mut visits = 0;
        let nodes = match row {
            Some(row) => row.descendants(),
            None => page.tree.root().descendants(),
        };
        for node in nodes {
            if self.open.is_empty() {
                break;
            }
            visits += 1;
            let Some(element) = ElementRef::wrap(node) else {
                continue;
            };
            let own = row == Some(element);
            let mut at = 0;
            while let Some(&index) = self.open.get(at) {
                let wanted = &self.wanted[index];
                // The element of the row is not in itself.
                let fits = own == (row.is_some() && wanted.css.is_scope());
                if !fits || !wanted.css.matches(&element, row, caches) {
                    at += 1;
                    continue;
                }
                give(wanted, element, &mut self.text, &mut |text| put(index, text))?;
                if wanted.all {
                    at += 1;
                } else {
                    self.open.swap_remove(at);
                }
            }
        }
        Ok(visits)
    }
}

/// Gives what is wanted of the element. An attribute that is not there is not given.
fn give(
    wanted: &Wanted,
    element: ElementRef<'_>,
    buffer: &mut String,
    put: &mut dyn FnMut(&str) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    match &wanted.part {
        Part::Text { collapse } => {
            text_of(element, *collapse, buffer);
            put(buffer)
        }
        Part::Attr(name, lower) => match element.attr(lower).or_else(|| element.attr(name)) {
            Some(value) => put(value),
            None => Ok(()),
        },
        Part::Inner => put(&element.inner_html()),
        Part::Outer => put(&element.html()),
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
        collapse_into(text, &mut space, buffer);
    }
}

/// Adds text with each run of white space as one space. `space` says whether white space stands
/// before it.
fn collapse_into(text: &str, space: &mut bool, buffer: &mut String) {
    for (index, word) in text.split(char::is_whitespace).enumerate() {
        *space |= index > 0;
        if !word.is_empty() {
            if *space && !buffer.is_empty() {
                buffer.push(' ');
            }
            buffer.push_str(word);
            *space = false;
        }
    }
}

#[cfg(test)]
mod tests;
