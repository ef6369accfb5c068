//! Graphs in languages that others draw.

use std::fmt::Write;

use gristmill_stage::Role;

use super::{Block, Picture};

/// For Markdown on GitHub and GitLab: <https://mermaid.js.org/syntax/flowchart.html>.
pub(super) fn mermaid(picture: &Picture) -> String {
    let mut text = "flowchart LR\n".to_owned();
    // Writing into a string does not fail.
    for (id, stage) in picture.boxes.iter().enumerate() {
        let (open, close) = match stage.role {
            Role::Source => ("([", "])"),
            Role::Transform => ("[", "]"),
            Role::Sink => ("[(", ")]"),
        };
        let [name, kind] = lines(stage).map(|line| html(&line));
        let _ = writeln!(text, "    s{id}{open}\"{name}<br/><small>{kind}</small>\"{close}");
    }
    for edge in &picture.arrows {
        let arrow = match &edge.label {
            Some(label) => format!("-->|\"{}\"|", html(label)),
            None => "-->".to_owned(),
        };
        let _ = writeln!(text, "    s{} {arrow} s{}", edge.from, edge.to);
    }
    for (id, _) in picture.boxes.iter().enumerate().filter(|(_, stage)| stage.limits) {
        let _ = writeln!(text, "    style s{id} stroke:#d55e00,stroke-width:4px");
    }
    text
}

/// For Graphviz: <https://graphviz.org/doc/info/lang.html>.
pub(super) fn dot(picture: &Picture) -> String {
    let mut text =
        format!("digraph {} {{\n    rankdir=LR;\n    node [shape=box];\n", quoted(&picture.name));
    if let Some(caption) = &picture.caption {
        let _ = writeln!(text, "    label={};", quoted(caption));
    }
    for (id, stage) in picture.boxes.iter().enumerate() {
        let shape = match stage.role {
            Role::Source => ", shape=oval",
            Role::Transform => "",
            Role::Sink => ", shape=cylinder",
        };
        let limits = if stage.limits { ", color=\"#d55e00\", penwidth=4" } else { "" };
        let label = quoted(&lines(stage).join("\n"));
        let _ = writeln!(text, "    s{id} [label={label}{shape}{limits}];");
    }
    for edge in &picture.arrows {
        let label = edge.label.as_ref().map(|label| format!(" [label={}]", quoted(label)));
        let _ = writeln!(text, "    s{} -> s{}{};", edge.from, edge.to, label.unwrap_or_default());
    }
    text + "}\n"
}

/// What a stage is called, and what it is and does.
fn lines(stage: &Block) -> [String; 2] {
    let does = match (stage.limits, stage.times) {
        (true, Some(times)) => format!(", limits: busy {:.0}%", times.busy * 100.0),
        (false, Some(times)) => format!(", busy {:.0}%", times.busy * 100.0),
        (_, None) => String::new(),
    };
    [stage.name.clone(), format!("{}{does}", stage.kind)]
}

/// A text in quotes of mermaid, which have entities as HTML has.
fn html(text: &str) -> String {
    let entity = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '#' => "&#35;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}

/// A text in quotes of Graphviz.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}
