//! What a tag means for the nesting of a page.

/// The classes of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Html,
    Head,
    Body,
    /// Without content, in the head or anywhere: `meta`.
    VoidHead,
    /// Without content: `br`.
    Void,
    /// Without content, and ends a paragraph: `hr`.
    Rule,
    /// Content is text up to the end tag, in the head or anywhere: `title`, `script`.
    RawHead,
    /// The same elsewhere: `textarea`.
    Raw,
    Paragraph,
    Item,
    /// `dd` and `dt`.
    Term,
    Heading,
    /// Ends a paragraph, as `section` does.
    Block,
    /// The same, but does not keep items apart: `div`.
    Division,
    Pre,
    Form,
    Button,
    /// `b`, `i` and their like, which a browser opens again when they end in the wrong place.
    Format,
    Link,
    Table,
    /// `tbody` and its like.
    Section,
    Row,
    Cell,
    /// Any other, known or not: `span`.
    Other,
    /// Brings rules of its own: `svg`, `select`.
    Special,
}

/// The longest name that is looked at.
const LONGEST: usize = 24;

/// The name of a tag, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Name {
    /// None for a name that is too long, or has odd marks.
    pub(super) fn new(name: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !name.first()?.is_ascii_alphabetic() || !name.iter().all(plain) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        let place = bytes.get_mut(..name.len())?;
        place.copy_from_slice(name);
        place.make_ascii_lowercase();
        Some(Self { bytes, length: name.len() })
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Its length.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether it is this name, in any case.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.bytes().eq_ignore_ascii_case(name)
    }
}

impl Tag {
    /// The class of a name.
    pub(super) fn of(name: &Name) -> Self {
        match name.bytes() {
            b"span" | b"label" | b"time" | b"abbr" | b"cite" => Self::Other,
            b"div" | b"address" => Self::Division,
            b"a" => Self::Link,
            b"p" => Self::Paragraph,
            b"li" => Self::Item,
            b"dd" | b"dt" => Self::Term,
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => Self::Heading,
            b"article" | b"aside" | b"blockquote" | b"center" | b"details" | b"dialog" | b"dir"
            | b"dl" | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"header"
            | b"hgroup" | b"main" | b"menu" | b"nav" | b"ol" | b"section" | b"summary" | b"ul" => {
                Self::Block
            }
            b"b" | b"big" | b"code" | b"em" | b"font" | b"i" | b"s" | b"small" | b"strike"
            | b"strong" | b"tt" | b"u" => Self::Format,
            b"area" | b"br" | b"embed" | b"img" | b"input" | b"wbr" | b"param" | b"source"
            | b"track" => Self::Void,
            b"base" | b"link" | b"meta" => Self::VoidHead,
            b"hr" => Self::Rule,
            b"title" | b"script" | b"style" => Self::RawHead,
            b"textarea" | b"iframe" => Self::Raw,
            b"pre" | b"listing" => Self::Pre,
            b"form" => Self::Form,
            b"button" => Self::Button,
            b"table" => Self::Table,
            b"tbody" | b"thead" | b"tfoot" => Self::Section,
            b"tr" => Self::Row,
            b"td" | b"th" => Self::Cell,
            b"html" => Self::Html,
            b"head" => Self::Head,
            b"body" => Self::Body,
            b"applet" | b"basefont" | b"bgsound" | b"caption" | b"col" | b"colgroup" | b"frame"
            | b"frameset" | b"image" | b"isindex" | b"keygen" | b"marquee" | b"math"
            | b"menuitem" | b"nobr" | b"noembed" | b"xmp" | b"noframes" | b"noscript"
            | b"object" | b"optgroup" | b"option" | b"plaintext" | b"rb" | b"rp" | b"rt"
            | b"rtc" | b"ruby" | b"search" | b"select" | b"selectedcontent" | b"svg"
            | b"template" | b"command" | b"foreignobject" => Self::Special,
            _ => Self::Other,
        }
    }

    /// Whether it is one of the three that every page has, written or not.
    pub(super) fn is_frame(self) -> bool {
        matches!(self, Self::Html | Self::Head | Self::Body)
    }

    /// Whether the end of another element may end it.
    pub(super) fn ends_by_itself(self) -> bool {
        matches!(self, Self::Paragraph | Self::Item | Self::Term)
    }

    /// Whether it ends a paragraph.
    pub(super) fn ends_paragraph(self) -> bool {
        matches!(
            self,
            Self::Paragraph
                | Self::Item
                | Self::Term
                | Self::Heading
                | Self::Block
                | Self::Division
                | Self::Pre
                | Self::Form
                | Self::Table
                | Self::Rule
        )
    }

    /// Whether only certain tags, and no text, may stand right in it.
    pub(super) fn is_grid(self) -> bool {
        matches!(self, Self::Table | Self::Section | Self::Row)
    }
}
