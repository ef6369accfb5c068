//! A page as a tree, made within limits: html5ever looks through all open elements at most tags, so
//! a page that nests deeply would take time by the square of its length.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ParseOpts, QualName, parse_document};
use scraper::{Html, HtmlTreeSink};

use crate::cells::Misfit;

/// The parser is stopped between chunks of this many bytes. What a hostile page can do within a
/// chunk is bounded by the square of this.
const CHUNK: usize = 4096;
/// Steps that the parser may take for each byte. Real pages take less than 5.
const STEPS_PER_BYTE: u64 = 64;
/// Steps that even a short page may take.
const STEPS_FREE: u64 = 1 << 20;
/// What the making of an element counts for, since elements can multiply: an unclosed `<b>` is
/// opened anew in each paragraph after it.
const STEPS_PER_ELEMENT: u64 = 32;

/// Parses a page.
pub(super) fn parse(text: &str, max_depth: u32) -> Result<Html, Misfit> {
    let mut parser = parse_document(Metered::new(), ParseOpts::default());
    let mut rest = text;
    let mut taken: u64 = 0;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK));
        parser.process(StrTendril::from_slice(chunk));
        rest = after;
        taken += chunk.len() as u64;
        let sink = &parser.tokenizer.sink.sink;
        if sink.deepest.get() > max_depth {
            return Err(Misfit(format!("the page nests elements deeper than {max_depth}")));
        }
        if sink.steps.get() > STEPS_FREE + taken.saturating_mul(STEPS_PER_BYTE) {
            let reason = "the page takes too long to parse: its open elements multiply";
            return Err(Misfit(reason.to_owned()));
        }
    }
    Ok(parser.finish())
}

/// Scraper's tree builder, with a meter.
struct Metered {
    inner: HtmlTreeSink,
    /// The depth of each element, by its serial number, as it was when it was put in.
    depths: RefCell<Vec<u32>>,
    deepest: Cell<u32>,
    /// How often the parser looked at an element.
    steps: Cell<u64>,
}

/// A node, and its serial number if it is an element; all others have 0, as the document.
#[derive(Clone, Copy)]
struct Handle {
    node: <HtmlTreeSink as TreeSink>::Handle,
    serial: usize,
}

impl Metered {
    fn new() -> Self {
        Self {
            inner: HtmlTreeSink::new(Html::new_document()),
            depths: RefCell::new(vec![0]),
            deepest: Cell::new(0),
            steps: Cell::new(0),
        }
    }

    fn step(&self, steps: u64) {
        self.steps.set(self.steps.get() + steps);
    }

    fn depth(&self, of: &Handle) -> u32 {
        self.depths.borrow().get(of.serial).copied().unwrap_or_default()
    }

    /// Notes that `child` now stands at `depth`.
    fn place(&self, child: &NodeOrText<Handle>, depth: u32) {
        if let NodeOrText::AppendNode(child) = child
            && child.serial > 0
            && let Some(place) = self.depths.borrow_mut().get_mut(child.serial)
        {
            *place = depth;
            self.deepest.set(self.deepest.get().max(depth));
        }
    }
}

fn plain(node: NodeOrText<Handle>) -> NodeOrText<<HtmlTreeSink as TreeSink>::Handle> {
    match node {
        NodeOrText::AppendNode(handle) => NodeOrText::AppendNode(handle.node),
        NodeOrText::AppendText(text) => NodeOrText::AppendText(text),
    }
}

impl TreeSink for Metered {
    type Handle = Handle;
    type Output = Html;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Html {
        self.inner.finish()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { node: self.inner.get_document(), serial: 0 }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> Ref<'a, QualName> {
        self.step(1);
        self.inner.elem_name(&target.node)
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> Handle {
        self.step(STEPS_PER_ELEMENT);
        let mut depths = self.depths.borrow_mut();
        let serial = depths.len();
        depths.push(0);
        Handle { node: self.inner.create_element(name, attrs, flags), serial }
    }

    fn create_comment(&self, text: StrTendril) -> Handle {
        Handle { node: self.inner.create_comment(text), serial: 0 }
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Handle {
        Handle { node: self.inner.create_pi(target, data), serial: 0 }
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.place(&child, self.depth(parent) + 1);
        self.inner.append(&parent.node, plain(child));
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        prev_element: &Handle,
        child: NodeOrText<Handle>,
    ) {
        self.place(&child, self.depth(prev_element) + 1);
        self.inner.append_based_on_parent_node(&element.node, &prev_element.node, plain(child));
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    ) {
        self.inner.append_doctype_to_document(name, public_id, system_id);
    }

    fn get_template_contents(&self, target: &Handle) -> Handle {
        // The contents count as the template itself: what is put in them stands one deeper.
        Handle { node: self.inner.get_template_contents(&target.node), serial: target.serial }
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        self.step(1);
        x.node == y.node
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &Handle, new_node: NodeOrText<Handle>) {
        self.place(&new_node, self.depth(sibling));
        self.inner.append_before_sibling(&sibling.node, plain(new_node));
    }

    fn add_attrs_if_missing(&self, target: &Handle, attrs: Vec<Attribute>) {
        self.inner.add_attrs_if_missing(&target.node, attrs);
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.inner.remove_from_parent(&target.node);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        self.inner.reparent_children(&node.node, &new_parent.node);
    }
}
