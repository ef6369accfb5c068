//! `gristmill graph`: the stages and channels of a pipeline, drawn.

use std::fmt::Write;

use gristmill_config::{Distribution, EdgeId, Plan, StagePlan};
use gristmill_stage::Role;

use crate::args::{Drawing, Graph};
use crate::exit::Exit;
use crate::kinds;

/// Prints the graph in a language that draws it.
pub fn graph(args: &Graph) -> Exit {
    let plan = match super::plan(&args.file, &args.set, &kinds::built_in()) {
        Ok((_, plan)) => plan,
        Err(exit) => return exit,
    };
    let text = match args.format {
        Drawing::Mermaid => mermaid(&plan),
        Drawing::Dot => dot(&plan),
    };
    super::print(&plan.secrets.redact(&text))
}

/// For Markdown on GitHub and GitLab: <https://mermaid.js.org/syntax/flowchart.html>.
fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    // Writing into a string does not fail.
    for (id, stage) in plan.stages.iter().enumerate() {
        let (open, close) = match stage.role {
            Role::Source => ("([", "])"),
            Role::Transform => ("[", "]"),
            Role::Sink => ("[(", ")]"),
        };
        let [name, kind] = lines(stage).map(|line| html(&line));
        let _ = writeln!(text, "    s{id}{open}\"{name}<br/><small>{kind}</small>\"{close}");
    }
    for (id, edge) in plan.edges.iter().enumerate() {
        let arrow = match label(plan, id) {
            Some(label) => format!("-->|\"{}\"|", html(&label)),
            None => "-->".to_owned(),
        };
        let _ = writeln!(text, "    s{} {arrow} s{}", edge.from, edge.to);
    }
    text
}

/// For Graphviz: <https://graphviz.org/doc/info/lang.html>.
fn dot(plan: &Plan) -> String {
    let mut text =
        format!("digraph {} {{\n    rankdir=LR;\n    node [shape=box];\n", quoted(&plan.name));
    for (id, stage) in plan.stages.iter().enumerate() {
        let shape = match stage.role {
            Role::Source => ", shape=oval",
            Role::Transform => "",
            Role::Sink => ", shape=cylinder",
        };
        let label = quoted(&lines(stage).join("\n"));
        let _ = writeln!(text, "    s{id} [label={label}{shape}];");
    }
    for (id, edge) in plan.edges.iter().enumerate() {
        let label =
            label(plan, id).map_or_else(String::new, |l| format!(" [label={}]", quoted(&l)));
        let _ = writeln!(text, "    s{} -> s{}{label};", edge.from, edge.to);
    }
    text + "}\n"
}

/// What a stage is called, and what it is.
fn lines(stage: &StagePlan) -> [String; 2] {
    let workers = match stage.workers {
        1 => String::new(),
        workers => format!(" × {workers}"),
    };
    [stage.name.clone(), format!("{}, {}{workers}", stage.kind, stage.mode.name())]
}

/// Which output a channel begins at, and how it deals rows out; none if there is nothing to say.
fn label(plan: &Plan, id: EdgeId) -> Option<String> {
    let edge = &plan.edges[id];
    let port = plan.stages[edge.from].ports.get(edge.port).cloned();
    let dealt = match &edge.distribution {
        Distribution::Shared => None,
        Distribution::Hash(columns) => Some(format!("hash({})", columns.join(", "))),
        Distribution::Broadcast => Some("broadcast".to_owned()),
    };
    let both: Vec<String> = port.into_iter().chain(dealt).collect();
    (!both.is_empty()).then(|| both.join(", "))
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
