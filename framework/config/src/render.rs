//! Problems as text for a terminal, in the shape that the Rust compiler made familiar.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::problem::Problem;
use crate::span::{Lines, Span};
use crate::{Secrets, Source};

/// Places within so many lines share an excerpt.
const NEAR: usize = 8;
/// Longer lines are cut around the place: a whole pipeline can stand on one line.
const LONG: usize = 4096;

/// Renders problems of one source.
pub(crate) fn render(
    source: &Source,
    secrets: &Secrets,
    problems: &[Problem],
    color: bool,
) -> String {
    let lines = Lines::of(source.text());
    let page = Page { source, secrets, lines };
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let shown: Vec<_> = problems.iter().map(|problem| page.problem(problem, &renderer)).collect();
    shown.join("\n\n")
}

struct Page<'a> {
    source: &'a Source,
    secrets: &'a Secrets,
    lines: Lines,
}

/// Some lines of the source and what is marked in them.
struct Excerpt<'p> {
    lines: Range<usize>,
    marks: Vec<(Span, Option<&'p str>)>,
}

impl Page<'_> {
    fn problem(&self, problem: &Problem, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let mut group = match problem.span {
            None => title.element(Origin::path(self.source.name())),
            Some(span) => title.elements(self.excerpts(problem, span)),
        };
        if let Some(span) = problem.span.filter(|span| self.is_long(*span)) {
            let (line, column) = self.lines.position(span.start, self.source.text());
            let origin = Origin::path(self.source.name()).line(line).char_column(column);
            let title = Level::ERROR.primary_title(problem.message.as_str());
            group = title.element(origin).element(self.cut(span, line));
        }
        for help in &problem.helps {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    fn excerpts<'p>(
        &'p self,
        problem: &'p Problem,
        span: Span,
    ) -> Vec<Snippet<'p, Annotation<'p>>> {
        let near = self.excerpt_of(span);
        let mut excerpts = vec![Excerpt { lines: near, marks: vec![(span, None)] }];
        for (other, label) in &problem.others {
            if self.is_long(*other) {
                continue;
            }
            let lines = self.excerpt_of(*other);
            let close = excerpts.iter_mut().find(|excerpt| {
                lines.start < excerpt.lines.end + NEAR && excerpt.lines.start < lines.end + NEAR
            });
            match close {
                None => excerpts.push(Excerpt { lines, marks: vec![(*other, Some(label))] }),
                Some(excerpt) => {
                    let start = excerpt.lines.start.min(lines.start);
                    excerpt.lines = start..excerpt.lines.end.max(lines.end);
                    excerpt.marks.push((*other, Some(label)));
                }
            }
        }
        excerpts.into_iter().enumerate().map(|(index, it)| self.snippet(it, index == 0)).collect()
    }

    /// The lines that a place covers; of a long one the first.
    fn excerpt_of(&self, span: Span) -> Range<usize> {
        let line = self.lines.line(span.start);
        line..line + 1
    }

    fn snippet<'p>(&'p self, excerpt: Excerpt<'p>, first: bool) -> Snippet<'p, Annotation<'p>> {
        let text = self.source.text();
        let start = self.lines.range(excerpt.lines.start, text).start;
        let end = self.lines.range(excerpt.lines.end.saturating_sub(1), text).end;
        let shown = self.secrets.mask(text.get(start..end).unwrap_or_default());
        let marks = excerpt.marks.into_iter().map(|(span, label)| {
            let line = self.lines.range(self.lines.line(span.start), text);
            // A caret needs a character to stand under, and a mark stays on its line.
            let from = span.start.clamp(line.start, line.end);
            let to = span.end.clamp(from, line.end);
            let kind = match label {
                None if first => AnnotationKind::Primary,
                _ => AnnotationKind::Context,
            };
            let mark = kind.span(from.saturating_sub(start)..to.saturating_sub(start));
            match label {
                Some(label) => mark.label(label),
                None => mark,
            }
        });
        let marks: Vec<_> = marks.collect();
        Snippet::source(shown)
            .path(self.source.name())
            .line_start(excerpt.lines.start + 1)
            .annotations(marks)
    }

    fn is_long(&self, span: Span) -> bool {
        self.lines.range(self.lines.line(span.start), self.source.text()).len() > LONG
    }

    /// A piece of a very long line around a place.
    fn cut(&self, span: Span, line: usize) -> Snippet<'_, Annotation<'_>> {
        const AROUND: usize = 60;
        let text = self.source.text();
        let whole = self.lines.range(line.saturating_sub(1), text);
        let start = span.start.clamp(whole.start, whole.end);
        let end = span.end.clamp(start, whole.end).min(start + AROUND);
        let end = text.ceil_char_boundary(end);
        // Masked before it is cut, so that no half of a secret is left at an edge.
        let from = text.floor_char_boundary(start.saturating_sub(LONG).max(whole.start));
        let to = text.ceil_char_boundary((end + LONG).min(whole.end));
        let wide = self.secrets.mask(text.get(from..to).unwrap_or_default());
        let left = wide.floor_char_boundary((start - from).saturating_sub(AROUND));
        let right = wide.ceil_char_boundary((end - from + AROUND).min(wide.len()));
        let piece = wide.get(left..right).unwrap_or_default().to_owned();
        let mark = (start - from).saturating_sub(left)..(end - from).saturating_sub(left);
        Snippet::source(Cow::<str>::Owned(piece))
            .line_start(line)
            .annotation(AnnotationKind::Primary.span(mark))
    }
}
