//! The result as one page that needs nothing else.

use std::fmt::{self, Write};

use super::Findings;
use super::chart::{self, escape};
use super::summary::Round;
use super::table::{HEAD, cells};

const STYLE: &str = include_str!("report.css");

const METHOD: &str = "Each run is a process of its own. The variants take turns, round after round, \
    and each goes first in its turn; a first round is not measured. A difference counts when an exact \
    Mann-Whitney test over the runs, corrected for all pairs after Holm, gives less than 5% to chance, \
    and the medians are 2% apart. All else is noise.";

/// The page.
pub fn page(found: &Findings) -> String {
    let mut page = String::new();
    // Writing into a string does not fail.
    let _ = write_page(found, &mut page);
    page
}

fn write_page(found: &Findings, page: &mut String) -> fmt::Result {
    let title = match &found.stage {
        Some(stage) => format!("{}, stage {stage}", found.pipeline),
        None => found.pipeline.clone(),
    };
    let title = escape(&title);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Benchmark of {title}</title><style>\n{STYLE}</style></head><body>\n\
         <h1>Benchmark of {title}</h1>\n<p class=\"soft\">{} processors, sinks {}",
        found.processors, found.sinks
    )?;
    if let Some(rows) = found.rows {
        write!(page, ", at most {rows} rows from each source")?;
    }
    writeln!(page, "{}</p>", if found.complete { "" } else { ", interrupted" })?;
    advice(found, page)?;
    for round in &found.rounds {
        write_round(round, page)?;
    }
    if let Some(limit) = &found.limit {
        let keys = ["busy", "blocked", "waiting"].map(|key| (key, key));
        writeln!(
            page,
            "<h2>Where the time goes, as the file stands</h2>\n<p>{}.</p>",
            coded(&limit.words)
        )?;
        figure(&chart::shares(&limit.shares), &keys, page)?;
    }
    writeln!(page, "<h2>How it was measured</h2>\n<p class=\"soft\">{METHOD}</p>\n</body></html>")
}

fn advice(found: &Findings, page: &mut String) -> fmt::Result {
    let Some(advice) = &found.advice else { return Ok(()) };
    writeln!(page, "<div class=\"verdict\"><p>{}</p>\n<ul>", coded(&advice.words))?;
    for stage in &advice.stages {
        writeln!(page, "<li>{}</li>", coded(&stage.words))?;
    }
    writeln!(page, "</ul></div>")?;
    for note in &advice.notes {
        writeln!(page, "<p class=\"soft\">{}</p>", coded(note))?;
    }
    Ok(())
}

fn write_round(round: &Round, page: &mut String) -> fmt::Result {
    writeln!(page, "<h2>{}</h2>", coded(&round.heading()))?;
    let keys = [("best", "best"), ("noise", "within noise of it"), ("slower", "slower")];
    figure(&chart::rates(round), &keys, page)?;
    write!(page, "<div class=\"wide\"><table><caption>{}</caption><tr>", coded(&round.caption()))?;
    for head in HEAD {
        write!(page, "<th>{head}</th>")?;
    }
    writeln!(page, "</tr>")?;
    for row in &round.variants {
        write!(page, "<tr>")?;
        for cell in cells(row) {
            write!(page, "<td>{}</td>", escape(&cell))?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</table></div>")
}

/// A text with what stands between backticks as code.
fn coded(text: &str) -> String {
    let escaped = escape(text);
    let parts = escaped.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    parts.collect()
}

fn figure(chart: &str, keys: &[(&str, &str)], page: &mut String) -> fmt::Result {
    write!(page, "<figure>{chart}<figcaption>")?;
    for (class, words) in keys {
        write!(page, "<span class=\"key {class}\"></span>{words}")?;
    }
    writeln!(page, "</figcaption></figure>")
}
