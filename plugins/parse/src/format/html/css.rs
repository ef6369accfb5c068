//! A CSS selector, compiled once, with a cheap test that spares most elements the full match.

use gristmill_stage::{Error, Result};
use html5ever::LocalName;
use scraper::ElementRef;
use scraper::selector::{Parser, Simple};
use selectors::Element as _;
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::matches_selector;
use selectors::parser::{
    Component, ParseRelative, Selector, SelectorList, SelectorParseErrorKind as Wrong,
};

/// A list of selectors, as in `h1, .title`.
#[derive(Debug, Clone)]
pub(super) struct Css {
    list: SelectorList<Simple>,
    /// What an element must have to match, for each selector of the list.
    needs: Vec<Need>,
    text: String,
    /// Whether it is `:scope` alone.
    scope: bool,
}

/// A condition that every match fulfils, found out without an allocation or a lock.
#[derive(Debug, Clone)]
enum Need {
    Tag { name: LocalName, lower: LocalName },
    Attr(&'static str, String),
    HasAttr(LocalName),
    Nothing,
}

impl Css {
    /// Compiles the selector that stands at `path` in the options.
    pub(super) fn new(text: &str, path: &str) -> Result<Self> {
        let mut parser = cssparser::Parser::new(text);
        let list =
            SelectorList::parse(&Parser, &mut parser, ParseRelative::No).map_err(|error| {
                let what = match error.kind {
                    cssparser::ParseErrorKind::Basic(_) => "it cannot be read",
                    cssparser::ParseErrorKind::Custom(kind) => explain(&kind),
                };
                let at = parser.position().byte_index().min(text.len());
                let near = match text.get(at..).map(str::trim) {
                    Some(rest) if !rest.is_empty() && at > 0 => format!(", before `{rest}`"),
                    _ => String::new(),
                };
                Error::option(path, format!("`{text}` is not a CSS selector: {what}{near}"))
                    .help("write it like `h1`, `.price` or `ul.list > li a[href]`")
            })?;
        let needs = list.slice().iter().map(need).collect();
        Ok(Self { list, needs, text: text.to_owned(), scope: text.trim() == ":scope" })
    }

    /// The selector as it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is `:scope` alone: the element of a row.
    pub(super) fn is_scope(&self) -> bool {
        self.scope
    }

    /// Whether the element matches, with `row` as `:scope`. The caches are those of this document.
    pub(super) fn matches(
        &self,
        element: &ElementRef<'_>,
        row: Option<ElementRef<'_>>,
        caches: &mut SelectorCaches,
    ) -> bool {
        self.list.slice().iter().zip(&self.needs).any(|(selector, need)| {
            need.met(element) && {
                let mut context = MatchingContext::new(
                    MatchingMode::Normal,
                    None,
                    caches,
                    QuirksMode::NoQuirks,
                    NeedsSelectorFlags::No,
                    MatchingForInvalidation::No,
                );
                context.scope_element = row.map(|row| row.opaque());
                matches_selector(selector, 0, None, element, &mut context)
            }
        })
    }
}

impl Need {
    fn met(&self, element: &ElementRef<'_>) -> bool {
        let element = element.value();
        match self {
            Self::Tag { name, lower } => {
                element.name.local == *lower || element.name.local == *name
            }
            Self::Attr(attr, part) => {
                element.attrs().any(|(name, value)| name == *attr && value.contains(part.as_str()))
            }
            Self::HasAttr(attr) => element.attrs().any(|(name, _)| name == &**attr),
            Self::Nothing => true,
        }
    }
}

/// The most telling part of the last compound: that is what is compared with the element itself.
fn need(selector: &Selector<Simple>) -> Need {
    let mut best = Need::Nothing;
    for part in selector.iter() {
        match part {
            Component::ID(id) => return Need::Attr("id", id.0.to_string()),
            Component::Class(class) => best = Need::Attr("class", class.0.to_string()),
            Component::AttributeInNoNamespaceExists { local_name, local_name_lower }
                if local_name == local_name_lower && matches!(best, Need::Nothing) =>
            {
                best = Need::HasAttr(local_name.0.clone());
            }
            Component::AttributeInNoNamespace { local_name, .. }
                if matches!(best, Need::Nothing) =>
            {
                best = Need::HasAttr(local_name.0.clone());
            }
            Component::LocalName(tag) if matches!(best, Need::Nothing) => {
                best = Need::Tag { name: tag.name.0.clone(), lower: tag.lower_name.0.clone() };
            }
            _ => {}
        }
    }
    best
}

fn explain(kind: &Wrong) -> &'static str {
    match kind {
        Wrong::EmptySelector => "a selector is missing",
        Wrong::DanglingCombinator => "nothing follows the combinator at its end",
        Wrong::UnsupportedPseudoClassOrElement => {
            "this pseudo-class or pseudo-element is not supported"
        }
        Wrong::NoIdentForPseudo
        | Wrong::PseudoElementExpectedColon
        | Wrong::PseudoElementExpectedIdent => "a pseudo-class needs a name after the colon",
        Wrong::ClassNeedsIdent => "a class needs a name after the dot",
        Wrong::NoQualifiedNameInAttributeSelector
        | Wrong::UnexpectedTokenInAttributeSelector
        | Wrong::ExpectedBarInAttr
        | Wrong::BadValueInAttr
        | Wrong::InvalidQualNameInAttr => {
            "an attribute selector is written [name] or [name=\"value\"]"
        }
        Wrong::ExpectedNamespace | Wrong::ExplicitNamespaceUnexpectedToken => {
            "namespaces are not supported"
        }
        _ => "it cannot be read",
    }
}
