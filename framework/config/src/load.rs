//! From text to plan.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Registry};

use crate::check::{Checked, Run, check};
use crate::document::{Declared, Document, Reader, bound};
use crate::files::check_files;
use crate::graph::{Graph, wire};
use crate::misspelt::{ROUNDS, misspelt};
use crate::narrow::{hint, narrow};
use crate::parse::parse;
use crate::pattern::Patterns;
use crate::plan::{
    Bound, EdgeId, EdgePlan, Mode, Plan, RejectedPlan, RunChoice, StageId, StagePlan,
};
use crate::problem::{Problem, Problems};
use crate::span::Span;
use crate::steps;
use crate::suggest::Suggest;
use crate::words::{ModeWord, RejectedWords};
use crate::{Secrets, Source, Variables};

/// Reads a pipeline and checks all of it: words, options, wiring, schemas, files. Reads nothing but
/// what the kinds read to know their schemas, looks at the files that are named, and changes
/// nothing.
///
/// # Errors
/// All that is wrong. What only follows from another error is left out.
pub fn load(source: &Source, variables: &Variables, registry: &Registry) -> Result<Plan, Problems> {
    load_with(source, variables, registry, &[])
}

/// As [`load`], but the stages that are named in `choices` run as it says there, whatever stands
/// under their `run`. A pool that was named for a pooled stage is left out in another mode.
///
/// # Errors
/// As [`load`]; a number of workers that a stage cannot have is found here as well.
pub fn load_with(
    source: &Source,
    variables: &Variables,
    registry: &Registry,
    choices: &[RunChoice],
) -> Result<Plan, Problems> {
    read(source, variables, registry, choices, false)
}

/// All that is wrong with a pipeline of which some plugins could not be opened, besides what is wrong
/// with those. Kinds that the registry does not have may be theirs, and are let pass.
pub fn problems_beside(
    found: Problems,
    source: &Source,
    variables: &Variables,
    registry: &Registry,
) -> Problems {
    match read(source, variables, registry, &[], true) {
        Ok(_) => found,
        Err(others) => found.and(others),
    }
}

fn read(
    source: &Source,
    variables: &Variables,
    registry: &Registry,
    choices: &[RunChoice],
    lacking: bool,
) -> Result<Plan, Problems> {
    let suggest = Suggest::new();
    let parsed = parse(source.text(), variables, &suggest);
    let warnings = parsed.noted.warnings();
    let (mut problems, secrets) = (parsed.problems, parsed.noted.secrets);
    let mut root = match parsed.root.filter(|_| parsed.complete) {
        Some(root) if !root.is_null() => root,
        _ => {
            if problems.is_empty() {
                problems.push(nothing());
            }
            return Err(Problems::of(source, secrets, problems));
        }
    };
    let patterns = Patterns::default();
    let mut rounds = 1..=ROUNDS;
    let mut document = loop {
        let mut found = Vec::new();
        let document = Reader::new(registry, &suggest, &patterns, &mut found);
        let document = document.lacking(lacking).read(&root);
        let keys = misspelt(&found);
        if keys.is_empty() || rounds.next().is_none() {
            problems.extend(found);
            break document;
        }
        // What is wrong besides is found again when the keys are mended.
        problems.extend(found.into_iter().filter(|problem| problem.misspelt.is_some()));
        drop(document);
        root = root.mended(&keys);
    };
    choices.iter().for_each(|choice| choose(&mut document, choice));
    let graph = wire(&document.stages, &suggest, &mut problems);
    let mut checked = check(&document, &graph, &suggest, &patterns, &mut problems);
    let rejected = check_files(source, &document, &graph, &checked, &mut problems);
    if problems.is_empty() {
        if !document.rejected.as_ref().is_some_and(RejectedWords::whole_rows) {
            narrow(&graph, &mut checked);
        }
        hint(&graph, &mut checked);
    }
    if problems.is_empty()
        && let Some(plan) = assemble(source, document, &graph, checked, rejected, secrets.clone())
    {
        return Ok(Plan { warnings, ..plan });
    }
    if problems.is_empty() && !lacking {
        // Cannot happen: whatever hinders a stage has said why.
        problems.push(Problem::new("the pipeline could not be checked"));
    }
    Err(Problems::of(source, secrets, problems))
}

/// Puts a choice in place of what stands under `run`.
fn choose(document: &mut Document<'_>, choice: &RunChoice) {
    let chosen = document.stages.iter_mut().filter(|stage| stage.name == choice.stage);
    for words in chosen.filter_map(|stage| stage.words.as_mut()) {
        words.run.mode = ModeWord::named(choice.mode.name());
        words.run.workers = Some(choice.workers);
        if choice.mode != Mode::Pooled {
            words.run.pool = None;
        }
    }
}

fn nothing() -> Problem {
    Problem::at(Span::new(0, 0), "there is no pipeline in it")
        .help("a pipeline has at least `stages:`")
}

fn assemble(
    source: &Source,
    document: Document<'_>,
    graph: &Graph,
    checked: Vec<Option<Checked>>,
    rejected: RejectedPlan,
    secrets: Secrets,
) -> Option<Plan> {
    let mut checked: Vec<(Checked, Run)> = checked
        .into_iter()
        .map(|checked| {
            let mut checked = checked?;
            let run = checked.run.take()?;
            Some((checked, run))
        })
        .collect::<Option<_>>()?;
    // Of each stage in the order of the file, the one in the plan that its rows come out of.
    let mut ends: Vec<StageId> = vec![0; checked.len()];
    let names: Vec<&str> = document.stages.iter().map(|stage| stage.name.as_str()).collect();
    let mut edges = Vec::new();
    let mut stages: Vec<StagePlan> = Vec::with_capacity(graph.order.len());
    for index in graph.order.iter().copied() {
        let declared = document.stages.get(index)?;
        let (checked, run) = checked.get_mut(index)?;
        let words = declared.words.as_ref()?;
        let to = stages.len();
        let mut inputs = Vec::new();
        for wire in graph.inputs.get(index)? {
            let from = *ends.get(wire.stage)?;
            let feeding = stages.get_mut(from)?;
            let port = wire.port.as_ref().and_then(|port| place(&feeding.ports, port));
            let schema: SchemaRef = Arc::clone(&feeding.output);
            inputs.push(edges.len());
            feeding.outputs.push(edges.len());
            edges.push(EdgePlan {
                from,
                port: port.unwrap_or(0),
                to,
                schema,
                bound: bound(words.channel.rows, words.channel.bytes, document.channel),
                distribution: run.distribution.clone(),
            });
        }
        let second = checked.second.take();
        stages.push(stage(declared, checked, run, inputs, document.batch)?);
        if let Some(second) = second {
            let bound = bound(words.channel.rows, words.channel.bytes, document.channel);
            steps::add(second, &names, bound, &mut stages, &mut edges);
        }
        *ends.get_mut(index)? = stages.len() - 1;
    }
    clamp_batches(&mut stages, &edges);
    let name = document.name.unwrap_or_else(|| source.stem());
    Some(Plan {
        name,
        stages,
        edges,
        pools: document.pools?,
        rejected,
        sha256: source.sha256().to_owned(),
        secrets,
        warnings: Vec::new(),
    })
}

/// One stage of the plan; what it feeds is not known yet.
fn stage(
    declared: &Declared<'_>,
    checked: &mut Checked,
    run: &Run,
    inputs: Vec<EdgeId>,
    batch: BatchTarget,
) -> Option<StagePlan> {
    let kind = declared.kind?;
    let planned = &mut checked.planned;
    Some(StagePlan {
        name: declared.name.clone(),
        second: false,
        kind: kind.name().to_owned(),
        role: kind.role(),
        options: checked.options.take(),
        mode: run.mode,
        workers: run.workers,
        scales: run.scales,
        pool: run.pool,
        process: run.process.clone(),
        program: kind.program().cloned(),
        ordered: run.ordered,
        input: Arc::clone(&checked.input),
        output: Arc::clone(&planned.output),
        ports: std::mem::take(&mut planned.ports),
        offered: Arc::clone(&checked.offered),
        hints: std::mem::take(&mut checked.hints),
        inputs,
        outputs: Vec::new(),
        batch,
        holds: planned.holds,
        blocks: planned.blocks,
        once: planned.once,
        reads: std::mem::take(&mut planned.reads),
        writes: std::mem::take(&mut planned.writes),
        notes: run.notes.iter().cloned().chain(planned.notes.drain(..)).collect(),
    })
}

/// Where an output is among those of its stage.
fn place(ports: &[String], port: &str) -> Option<usize> {
    ports.iter().position(|name| name == port)
}

/// A batch should fit into every queue that it goes into.
fn clamp_batches(stages: &mut [StagePlan], edges: &[EdgePlan]) {
    for stage in stages {
        let bounds =
            stage.outputs.iter().filter_map(|edge| edges.get(*edge)).map(|edge| edge.bound);
        stage.batch = bounds.fold(stage.batch, |batch, Bound { rows, bytes }| BatchTarget {
            rows: batch.rows.min(rows),
            bytes: batch.bytes.min(bytes),
        });
    }
}
