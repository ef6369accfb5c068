//! The outputs of stages that have several: each `from` names one that there is, and each is taken.

use crate::check::Checked;
use crate::document::Document;
use crate::graph::{Graph, Wire};
use crate::problem::Problem;
use crate::suggest::{Suggest, list};

/// That a wire takes from an output that the stage `name` has.
///
/// # Errors
/// When it names none of several, or one that there is not.
pub(crate) fn find(
    wire: &Wire,
    name: &str,
    ports: &[String],
    suggest: &Suggest,
) -> Result<(), Problem> {
    let all: Vec<String> = ports.iter().map(|port| format!("{name}.{port}")).collect();
    let known = || list(all.iter().map(String::as_str));
    match &wire.port {
        None if ports.is_empty() => Ok(()),
        None => Err(Problem::at(wire.span, format!("`{name}` has several outputs"))
            .help(format!("say by `from` which of them: {}", known()))),
        Some(port) if ports.contains(port) => Ok(()),
        Some(port) if ports.is_empty() => {
            let problem =
                Problem::at(wire.span, format!("there is no stage named `{name}.{port}`"));
            Err(problem.help(format!("`{name}` has one output: write `from: {name}`")))
        }
        Some(port) => {
            let problem = Problem::at(wire.span, format!("`{name}` has no output `{port}`"));
            Err(match suggest.nearest(port, ports.iter().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{name}.{near}`?")),
                None => problem.help(format!("its outputs are {}", known())),
            })
        }
    }
}

/// Notes the outputs that no stage takes. Where it is not known what a stage was meant to take, any
/// may be.
pub(crate) fn unused(
    document: &Document<'_>,
    graph: &Graph,
    checked: &[Option<Checked>],
    problems: &mut Vec<Problem>,
) {
    if graph.unknown.contains(&true) {
        return;
    }
    for (index, checked) in checked.iter().enumerate() {
        let (Some(checked), Some(stage)) = (checked, document.stages.get(index)) else { continue };
        let ports = &checked.planned.ports;
        let wires = graph.inputs.iter().flatten().filter(|wire| wire.stage == index);
        let taken: Vec<&String> = wires.clone().filter_map(|wire| wire.port.as_ref()).collect();
        if wires.count() > taken.len() || taken.iter().any(|port| !ports.contains(port)) {
            continue;
        }
        let name = &stage.name;
        for port in ports.iter().filter(|port| !taken.contains(port)) {
            problems.push(
                Problem::at(stage.mark, format!("no stage takes what `{name}.{port}` puts out"))
                    .help(format!("add one with `from: {name}.{port}`; `discard` keeps nothing")),
            );
        }
    }
}
