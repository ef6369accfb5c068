//! A program that embeds Gristmill: a pipeline built in code, a stage of one's own in it, and the
//! results read back.
//!
//! `cargo run -p gristmill-example-embed`

mod collatz;

use std::error::Error;
use std::process::ExitCode;

use gristmill_config::{Mode, Pipeline, StageDef};
use gristmill_runtime::{Collect, Outcome, Run, RunOptions, WorkerCommand};
use gristmill_stage::{Registry, rows};
use serde::Deserialize;
use serde_json::json;

/// A row of the result.
#[derive(Debug, Deserialize)]
struct Longest {
    odd: bool,
    numbers: i64,
    most_steps: i64,
}

/// The kinds that the pipeline may name: some built-in ones, and our own.
fn kinds() -> Registry {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    gristmill_sql::register(&mut registry);
    registry.add(collatz::Collatz);
    registry
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Stages with the mode `process` run in this very program, started again.
    if let Some(exit) = gristmill_runtime::worker(&kinds()) {
        return Ok(exit);
    }
    let mut registry = kinds();
    let results = Collect::new("collect");
    registry.add_kind(results.kind());

    // `gristmill_config::load` takes the same pipeline as YAML.
    let pipeline = Pipeline::new("collatz")
        .stage(StageDef::new("numbers", "generate").with(json!({ "count": 10_000 })))
        .stage(StageDef::new("steps", "collatz").mode(Mode::Process).workers(2))
        .stage(StageDef::new("longest", "aggregate").with(json!({
            "group_by": ["odd"],
            "select": { "numbers": "count(*)", "most_steps": "max(steps)" },
        })))
        .stage(StageDef::new("result", "collect"));
    let plan = pipeline.plan(&registry).map_err(|problems| problems.render(false))?;

    let worker = Some(WorkerCommand::this_program());
    let report = Run::start(plan, &registry, RunOptions { worker, ..RunOptions::default() })
        .map_err(|failure| failure.to_string())?
        .wait();
    if let Outcome::Failed(failure) = report.outcome {
        return Err(failure.to_string().into());
    }

    let mut found = Vec::new();
    for batch in results.take() {
        found.extend(rows::from_batch::<Longest>(&batch)?);
    }
    found.sort_by_key(|row| row.odd);
    for Longest { odd, numbers, most_steps } in found {
        let which = if odd { "odd" } else { "even" };
        println!("{numbers} {which} numbers, at most {most_steps} steps");
    }
    Ok(ExitCode::SUCCESS)
}
