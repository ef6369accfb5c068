//! A picture that needs nothing else: no script, no font of its own.

use std::fmt::Write;

use gristmill_runtime::view::Times;
use gristmill_stage::Role;

use super::layout::Layout;
use super::{Block, Picture};

/// Height of a box, and of the space under it.
const HEIGHT: f64 = 52.0;
const BELOW: f64 = 34.0;
/// Around everything.
const MARGIN: f64 = 16.0;
/// A letter of the size that is used for this much.
const LETTER: f64 = 7.6;
const SMALL_LETTER: f64 = 6.2;
/// Colours that people tell apart who see colours differently, of Okabe and Ito.
const BUSY: &str = "#0072b2";
const WAITING: &str = "#cccccc";
const BLOCKED: &str = "#e69f00";
const LIMITS: &str = "#d55e00";

pub(super) fn svg(picture: &Picture) -> String {
    let arrows: Vec<_> = picture.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
    let layout = Layout::of(picture.boxes.len(), &arrows);
    let place = Places::of(picture, &layout);
    let mut text = head(picture, &place, &layout);
    for (id, arrow) in picture.arrows.iter().enumerate() {
        // Writing into a string does not fail.
        let _ = write!(text, "{}", place.arrow(&layout, id, (arrow.from, arrow.to)));
    }
    for (id, stage) in picture.boxes.iter().enumerate() {
        let _ = write!(text, "{}", block(stage, place.corner(layout.boxes[id]), place.width));
    }
    for (id, arrow) in picture.arrows.iter().enumerate() {
        if let Some(label) = &arrow.label {
            let (x, y) = place.label(&layout, id, (arrow.from, arrow.to));
            let _ = writeln!(
                text,
                "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                escaped(label)
            );
        }
    }
    if let Some(caption) = &picture.caption {
        for (line, words) in wrapped(caption, place.letters()).iter().enumerate() {
            let y = place.bottom(&layout) + 16.0 * (line as f64 + 1.0);
            let _ = writeln!(text, "<text x=\"{MARGIN}\" y=\"{y:.1}\">{}</text>", escaped(words));
        }
    }
    text + "</svg>\n"
}

/// Where layers and places are in the picture.
struct Places {
    /// Of a box.
    width: f64,
    /// Between layers: the labels are there.
    gap: f64,
    layers: usize,
}

impl Places {
    fn of(picture: &Picture, layout: &Layout) -> Self {
        let name = |stage: &Block| stage.name.chars().count() as f64 * LETTER;
        let kind = |stage: &Block| stage.kind.chars().count() as f64 * SMALL_LETTER;
        let width = picture.boxes.iter().map(|stage| name(stage).max(kind(stage)) + 28.0);
        let label = |label: &String| label.chars().count() as f64 * SMALL_LETTER + 28.0;
        let gap = picture.arrows.iter().filter_map(|arrow| arrow.label.as_ref().map(label));
        Self {
            width: width.fold(90.0, f64::max),
            gap: gap.fold(48.0, f64::max),
            layers: layout.layers,
        }
    }

    fn corner(&self, (layer, place): (usize, f64)) -> (f64, f64) {
        (MARGIN + layer as f64 * (self.width + self.gap), MARGIN + place * (HEIGHT + BELOW))
    }

    fn right(&self) -> f64 {
        let layers = self.layers.max(1) as f64;
        2.0 * MARGIN + layers * self.width + (layers - 1.0) * self.gap
    }

    fn bottom(&self, layout: &Layout) -> f64 {
        MARGIN + layout.places.max(1) as f64 * (HEIGHT + BELOW)
    }

    /// Letters of a line under the picture.
    fn letters(&self) -> usize {
        ((self.right() - 2.0 * MARGIN) / LETTER).max(40.0) as usize
    }

    /// The points of an arrow: out of a box, through the layers that it passes, into a box.
    fn points(&self, layout: &Layout, id: usize, ends: (usize, usize)) -> Vec<(f64, f64)> {
        let middle = |at| {
            let (x, y) = self.corner(at);
            (x, y + HEIGHT / 2.0)
        };
        let (from, to) = (middle(layout.boxes[ends.0]), middle(layout.boxes[ends.1]));
        let mut points = vec![(from.0 + self.width, from.1)];
        for &at in &layout.arrows[id] {
            let (x, y) = middle(at);
            points.extend([(x, y), (x + self.width, y)]);
        }
        points.push(to);
        points
    }

    fn arrow(&self, layout: &Layout, id: usize, ends: (usize, usize)) -> String {
        let points = self.points(layout, id, ends);
        let mut path = format!("M{:.1} {:.1}", points[0].0, points[0].1);
        for (at, pair) in points.windows(2).enumerate() {
            let ((x, y), (to, down)) = (pair[0], pair[1]);
            // Straight through a layer, and a curve between two.
            let half = (x + to) / 2.0;
            let _ = match at % 2 {
                0 => write!(path, " C{half:.1} {y:.1} {half:.1} {down:.1} {to:.1} {down:.1}"),
                _ => write!(path, " L{to:.1} {down:.1}"),
            };
        }
        format!("<path class=\"arrow\" d=\"{path}\" marker-end=\"url(#head)\"/>\n")
    }

    /// Where the label of an arrow stands: over its last piece.
    fn label(&self, layout: &Layout, id: usize, ends: (usize, usize)) -> (f64, f64) {
        let points = self.points(layout, id, ends);
        let last = points[points.len() - 1];
        let before = points[points.len() - 2];
        ((before.0 + last.0) / 2.0, (before.1 + last.1) / 2.0 - 6.0)
    }
}

fn head(picture: &Picture, place: &Places, layout: &Layout) -> String {
    let lines = picture.caption.as_ref().map_or(0, |words| wrapped(words, place.letters()).len());
    let letters = place.letters().min(picture.caption.as_ref().map_or(0, |words| words.len()));
    let width = place.right().max(letters as f64 * LETTER + 2.0 * MARGIN);
    let height = place.bottom(layout) + 16.0 * lines as f64 + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{}</title>\n\
         <style>.arrow{{fill:none;stroke:#444;stroke-width:1.5}}.label{{text-anchor:middle;font-size:11px;\
         paint-order:stroke;stroke:#fff;stroke-width:3px}}.box{{fill:#fff;stroke:#444;stroke-width:1.5}}\
         .limits{{stroke:{LIMITS};stroke-width:4}}.name{{text-anchor:middle;font-weight:bold}}\
         .kind{{text-anchor:middle;font-size:11px;fill:#444}}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#444\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escaped(&picture.name)
    )
}

fn block(stage: &Block, (x, y): (f64, f64), width: f64) -> String {
    let round = match stage.role {
        Role::Source => HEIGHT / 2.0,
        Role::Transform => 4.0,
        Role::Sink => 0.0,
    };
    let class = if stage.limits { "box limits" } else { "box" };
    let mut text = format!(
        "<g><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"{round}\"/>\n"
    );
    if stage.role == Role::Sink {
        let (inner, end) = (x + width - 5.0, y + HEIGHT);
        let _ = writeln!(text, "<path class=\"box\" d=\"M{inner:.1} {y:.1}V{end:.1}\"/>");
    }
    let middle = x + width / 2.0;
    let _ = writeln!(
        text,
        "<text class=\"name\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\n\
         <text class=\"kind\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
        y + 20.0,
        escaped(&stage.name),
        y + 35.0,
        escaped(&stage.kind)
    );
    if let Some(times) = stage.times {
        text.push_str(&bar(times, (x + 14.0, y + 41.0), width - 28.0));
    }
    if stage.limits {
        let _ = writeln!(
            text,
            "<text class=\"kind\" x=\"{middle:.1}\" y=\"{:.1}\" style=\"fill:{LIMITS};font-weight:bold\">limits</text>",
            y + HEIGHT + 14.0
        );
    }
    text + "</g>\n"
}

/// Where the time goes.
fn bar(times: Times, (x, y): (f64, f64), width: f64) -> String {
    let Times { busy, waiting, blocked } = times;
    let mut text = format!(
        "<g><title>busy {:.0}%, waiting {:.0}%, blocked {:.0}%</title>\n",
        busy * 100.0,
        waiting * 100.0,
        blocked * 100.0
    );
    let mut at = x;
    for (share, colour) in [(busy, BUSY), (waiting, WAITING), (blocked, BLOCKED)] {
        let part = share * width;
        let _ = writeln!(
            text,
            "<rect x=\"{at:.1}\" y=\"{y:.1}\" width=\"{part:.1}\" height=\"6\" fill=\"{colour}\"/>"
        );
        at += part;
    }
    text + "</g>\n"
}

/// Lines of so many letters at the most, as far as words allow.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text as it stands in XML.
fn escaped(text: &str) -> String {
    let entity = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        // XML 1.0 has no form for these.
        c if c.is_control() => "\u{fffd}".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}
