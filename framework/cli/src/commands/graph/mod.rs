//! `gristmill graph`: the stages and channels of a pipeline, drawn; of a run, with its rates.

mod layout;
mod svg;
mod text;

use gristmill_config::{Distribution, EdgeId, Plan, StagePlan};
use gristmill_runtime::view::{EdgeView, RunView, StageView, Times};
use gristmill_stage::Role;

use crate::args::{Drawing, Graph};
use crate::client::Client;
use crate::exit::Exit;
use crate::figures;
use crate::say::failed;

/// What is drawn.
struct Picture {
    name: String,
    boxes: Vec<Block>,
    arrows: Vec<Arrow>,
    /// A line under it.
    caption: Option<String>,
}

/// A stage.
struct Block {
    role: Role,
    /// What it is called.
    name: String,
    /// What it is.
    kind: String,
    /// What it does with its time, if it runs.
    times: Option<Times>,
    /// Whether it holds the others up.
    limits: bool,
}

/// A channel.
struct Arrow {
    from: usize,
    to: usize,
    label: Option<String>,
}

/// Prints the graph in a language that draws it.
pub fn graph(args: &Graph) -> Exit {
    let (picture, secrets) = if Client::is_named(&args.file) {
        let view = Client::new(&args.file).and_then(|client| client.json("/api/view"));
        match view {
            Ok(view) => (Picture::of_run(&view), None),
            Err(why) => return failed(why),
        }
    } else {
        match super::plan(&args.file, &args.set, &args.search) {
            Ok(loaded) => (Picture::of_plan(&loaded.plan), Some(loaded.plan.secrets)),
            Err(exit) => return exit,
        }
    };
    let text = match args.format {
        Drawing::Mermaid => text::mermaid(&picture),
        Drawing::Dot => text::dot(&picture),
        Drawing::Svg => svg::svg(&picture),
    };
    match secrets {
        Some(secrets) => super::print(&secrets.redact(&text)),
        None => super::print(&text),
    }
}

impl Picture {
    fn of_plan(plan: &Plan) -> Self {
        let block = |stage: &StagePlan| Block {
            role: stage.role,
            name: stage.name.clone(),
            kind: kind(&stage.kind, stage.mode.name(), stage.workers),
            times: None,
            limits: false,
        };
        let arrow = |id: EdgeId| {
            let edge = &plan.edges[id];
            let port = plan.stages[edge.from].ports.get(edge.port).cloned();
            let dealt = match &edge.distribution {
                Distribution::Shared => None,
                Distribution::Hash(columns) => Some(format!("hash({})", columns.join(", "))),
                Distribution::Broadcast => Some("broadcast".to_owned()),
            };
            Arrow { from: edge.from, to: edge.to, label: joined([port, dealt, None]) }
        };
        Self {
            name: plan.name.clone(),
            boxes: plan.stages.iter().map(block).collect(),
            arrows: (0..plan.edges.len()).map(arrow).collect(),
            caption: None,
        }
    }

    fn of_run(view: &RunView) -> Self {
        let block = |(id, stage): (usize, &StageView)| Block {
            role: match stage.role.as_str() {
                "source" => Role::Source,
                "sink" => Role::Sink,
                _ => Role::Transform,
            },
            name: stage.name.clone(),
            kind: kind(&stage.kind, &stage.mode, stage.workers.len()),
            times: Some(stage.recent.times),
            limits: view.limit.stage == Some(id),
        };
        let arrow = |edge: &EdgeView| {
            let dealt = (edge.distribution != "shared").then(|| edge.distribution.clone());
            let rate = format!("{} rows/s", figures::per_second(edge.recent_rows));
            let label = joined([edge.output.clone(), dealt, Some(rate)]);
            Arrow { from: edge.from, to: edge.to, label }
        };
        Self {
            name: view.pipeline.clone(),
            boxes: view.stages.iter().enumerate().map(block).collect(),
            arrows: view.edges.iter().map(arrow).collect(),
            caption: Some(view.limit.words.clone()).filter(|words| !words.is_empty()),
        }
    }
}

/// What a stage is.
fn kind(kind: &str, mode: &str, workers: usize) -> String {
    let workers = if workers == 1 { String::new() } else { format!(" × {workers}") };
    format!("{kind}, {mode}{workers}")
}

/// What there is to say of a channel; none if there is nothing.
fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
