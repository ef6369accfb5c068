//! `gristmill check`.

use std::fmt::{self, Write};

use arrow_schema::Schema;
use gristmill_config::{Distribution, EdgeId, Mode, Plan, Source, StagePlan, load};
use gristmill_stage::Role;
use gristmill_stage::option::ByteSize;

use crate::args::Check;
use crate::exit::Exit;
use crate::figures::count;
use crate::kinds::Kinds;
use crate::types;

/// Files read by one stage that are named one by one.
const READS: usize = 3;

/// Checks pipelines and prints their plans.
pub fn check(args: &Check) -> Exit {
    if let Err(exit) = super::once(&args.set) {
        return exit;
    }
    let mut kinds = Kinds::new(&args.search.folders);
    let variables = super::variables(&args.set.set);
    let mut exit = Exit::Done;
    let mut sources = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let read = Source::read(file).inspect(|source| sources.push(source.clone()));
        let loaded = read.and_then(|source| {
            let registry = kinds.for_check(&source, &variables)?;
            load(&source, &variables, &registry)
        });
        match loaded {
            Ok(plan) if args.quiet => drop(plan),
            Ok(plan) => {
                super::warn(&plan);
                let printed = super::print(&described(&plan));
                if exit == Exit::Done {
                    exit = printed;
                }
            }
            Err(problems) => {
                super::show(&problems);
                exit = Exit::BadConfiguration;
            }
        }
    }
    // In a file that could not be read there may be any variable.
    if sources.len() < args.files.len() {
        return exit;
    }
    match super::used(&variables, &sources) {
        Err(wrong) if exit == Exit::Done => wrong,
        _ => exit,
    }
}

/// The plan in words, without secrets.
pub(super) fn described(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = describe(plan, &mut text);
    plan.secrets.redact(&text).into_owned()
}

fn describe(plan: &Plan, out: &mut String) -> fmt::Result {
    let (stages, edges) = (plan.stages.len(), plan.edges.len());
    writeln!(out, "pipeline {}: {stages} stages, {edges} channels\n", plan.name)?;
    for stage in &plan.stages {
        describe_stage(plan, stage, out)?;
    }
    let pools = plan.pools.iter().enumerate();
    for (_, pool) in pools.filter(|(id, _)| pooled(plan, *id)) {
        write!(out, "pool {}: {} threads", pool.name, pool.threads)?;
        if !pool.cpus.is_empty() {
            write!(out, " on cpus {:?}", pool.cpus)?;
        }
        if let Some(nice) = pool.nice {
            write!(out, ", nice {nice}")?;
        }
        writeln!(out)?;
    }
    write!(out, "rejected rows: {}", plan.rejected.path.display())?;
    if let Some(limit) = plan.rejected.limit {
        write!(out, ", {} at the most", count(limit))?;
    }
    let (edges, workers) = (plan.edge_bytes(), plan.worker_bytes());
    writeln!(
        out,
        "\nmemory: channels hold at most {}, workers at most {}, together {}\n",
        ByteSize(edges),
        ByteSize(workers),
        ByteSize(edges.saturating_add(workers))
    )
}

fn pooled(plan: &Plan, pool: usize) -> bool {
    plan.stages.iter().any(|stage| stage.mode == Mode::Pooled && stage.pool == pool)
}

fn describe_stage(plan: &Plan, stage: &StagePlan, out: &mut String) -> fmt::Result {
    write!(out, "{}  {}, {} ×{}", stage.name, stage.kind, stage.mode.name(), stage.workers)?;
    if stage.mode == Mode::Pooled && stage.pool != 0 {
        write!(out, " on pool {}", plan.pools[stage.pool].name)?;
    }
    writeln!(out, "{}", if stage.ordered { ", ordered" } else { "" })?;
    for &edge in &stage.inputs {
        describe_edge(plan, edge, out)?;
    }
    if stage.role != Role::Sink {
        writeln!(out, "    out: {}", columns(&stage.output))?;
    }
    if !stage.ports.is_empty() {
        writeln!(out, "    by:  {}", stage.ports.join(", "))?;
    }
    if stage.role == Role::Source {
        describe_use(stage, out)?;
    }
    for path in stage.reads.iter().take(READS) {
        writeln!(out, "    reads {}", path.display())?;
    }
    if let more @ 1.. = stage.reads.len().saturating_sub(READS) {
        writeln!(out, "    reads {} more", count(more as u64))?;
    }
    for path in &stage.writes {
        writeln!(out, "    writes {}", path.display())?;
    }
    for note in &stage.notes {
        writeln!(out, "    {note}")?;
    }
    writeln!(out)
}

/// What a source is spared.
fn describe_use(stage: &StagePlan, out: &mut String) -> fmt::Result {
    let (read, all) = (stage.output.fields(), stage.offered.fields());
    if read.len() < all.len() {
        let names: Vec<_> = read.iter().map(|field| field.name().as_str()).collect();
        let (some, all, names) = (read.len(), all.len(), names.join(", "));
        writeln!(out, "    reads {some} of {all} columns: {names}")?;
    }
    if stage.hints.is_empty() {
        return Ok(());
    }
    let hints: Vec<_> = stage.hints.iter().map(ToString::to_string).collect();
    writeln!(out, "    pushed down: {}", hints.join(" AND "))
}

fn describe_edge(plan: &Plan, id: EdgeId, out: &mut String) -> fmt::Result {
    let edge = &plan.edges[id];
    let dealt = match &edge.distribution {
        Distribution::Shared => String::new(),
        Distribution::Broadcast => ", broadcast".to_owned(),
        Distribution::Hash(columns) => format!(", by hash of {}", columns.join(", ")),
    };
    writeln!(
        out,
        "    in:  from {}, at most {} rows and {}{dealt}",
        plan.origin(id),
        count(edge.bound.rows as u64),
        ByteSize(edge.bound.bytes as u64),
    )
}

fn columns(schema: &Schema) -> String {
    if schema.fields().is_empty() {
        return "(no columns)".to_owned();
    }
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), types::name(field.data_type())))
        .collect();
    columns.join(", ")
}
