//! Charts as SVG that stands in the page.

use super::advice::Share;
use super::job::Figures;
use super::summary::{Round, Verdict};
use super::table::per_second;
use crate::figures::percent;

const WIDTH: f64 = 860.0;
/// Where bars begin and end; names stand before, values behind.
const LEFT: f64 = 260.0;
const RIGHT: f64 = 740.0;
const LINE: f64 = 32.0;
/// The most characters of a name that fit before the bars.
const NAME: usize = 36;

/// A text that cannot be taken for markup.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

fn name(text: &str, y: f64) -> String {
    let short = match text.char_indices().nth(NAME) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    format!(
        "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\"><title>{}</title>{}</text>",
        LEFT - 10.0,
        escape(text),
        escape(&short)
    )
}

fn svg(label: &str, lines: usize, inside: &str) -> String {
    let height = LINE * lines as f64 + 8.0;
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\
         <line x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"0\" y2=\"{height}\"/>{inside}</svg>",
        escape(label)
    )
}

/// Rows per second: a bar to the median, a dot for each run.
pub fn rates(round: &Round) -> String {
    let all = || round.variants.iter().flat_map(|row| row.runs.iter().map(Figures::rate));
    let most = all().fold(1e-9, f64::max);
    let at = |value: f64| LEFT + (RIGHT - LEFT) * value / most;
    let mut inside = String::new();
    for (index, row) in round.variants.iter().enumerate() {
        let top = LINE * index as f64 + 8.0;
        let (middle, median) = (top + 10.0, row.rows_per_second.median);
        inside.push_str(&name(&row.variant.name, middle + 5.0));
        if row.verdict == Verdict::Failed {
            inside.push_str(&format!(
                "<text class=\"soft\" x=\"{:.0}\" y=\"{:.0}\">failed</text>",
                LEFT + 8.0,
                middle + 5.0
            ));
            continue;
        }
        let class = match row.verdict {
            Verdict::Best => "best",
            Verdict::Noise => "noise",
            Verdict::Slower | Verdict::Failed => "slower",
        };
        inside.push_str(&format!(
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"20\" rx=\"2\">\
             <title>{}: {} rows/s, {}</title></rect>",
            at(median) - LEFT,
            escape(&row.variant.name),
            per_second(median),
            row.verdict.words()
        ));
        for rate in row.runs.iter().map(Figures::rate) {
            inside.push_str(&format!(
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{middle:.0}\" r=\"3\"><title>{}</title></circle>",
                at(rate),
                per_second(rate)
            ));
        }
        inside.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            RIGHT + 12.0,
            middle + 5.0,
            per_second(median)
        ));
    }
    svg("Rows per second of each variant", round.variants.len(), &inside)
}

/// What each stage does with the time of a run: a bar in three parts.
pub fn shares(shares: &[Share]) -> String {
    let mut inside = String::new();
    for (index, share) in shares.iter().enumerate() {
        let top = LINE * index as f64 + 8.0;
        inside.push_str(&name(&share.stage, top + 15.0));
        let mut from = LEFT;
        for (class, part) in
            [("busy", share.busy), ("blocked", share.blocked), ("waiting", share.waiting)]
        {
            let wide = ((RIGHT - LEFT) * part).min(RIGHT - from).max(0.0);
            inside.push_str(&format!(
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top:.0}\" width=\"{wide:.1}\" height=\"20\">\
                 <title>{}: {class} {}</title></rect>",
                escape(&share.stage),
                percent(part)
            ));
            from += wide;
        }
        inside.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{:.0}\">{} busy</text>",
            RIGHT + 12.0,
            top + 15.0,
            percent(share.busy)
        ));
    }
    svg("Busy, blocked and waiting of each stage", shares.len(), &inside)
}
