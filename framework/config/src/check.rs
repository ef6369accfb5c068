//! Every stage against its input: options, schema, workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{Comparison, Error, Planned, Role};
use serde_json::Value;

use crate::columns::{describe, unite};
use crate::distribute::{self, Marks};
use crate::document::{Declared, Document};
use crate::graph::Graph;
use crate::options::{self, Options};
use crate::pattern::Patterns;
use crate::plan::{Distribution, Mode, ProcessLimits, ProcessPlan};
use crate::ports;
use crate::problem::Problem;
use crate::steps::{self, Second};
use crate::suggest::{Suggest, list};
use crate::words::{ModeWord, RunWords, StageWords};

/// A stage that was checked.
pub(crate) struct Checked {
    pub(crate) options: Value,
    pub(crate) input: SchemaRef,
    pub(crate) planned: Planned,
    /// All that it could emit.
    pub(crate) offered: SchemaRef,
    /// What is asked of its rows further on.
    pub(crate) hints: Vec<Comparison>,
    /// How its workers run; none when something is wrong with that.
    pub(crate) run: Option<Run>,
    /// What comes behind it, if it is the first of two steps.
    pub(crate) second: Option<Second>,
}

/// How the workers of a stage run.
pub(crate) struct Run {
    pub(crate) mode: Mode,
    pub(crate) workers: usize,
    pub(crate) scales: bool,
    pub(crate) pool: usize,
    pub(crate) process: ProcessPlan,
    /// Remarks for whoever reads the plan.
    pub(crate) notes: Vec<String>,
    pub(crate) ordered: bool,
    pub(crate) distribution: Distribution,
}

/// Checks the stages of a document in the order of the graph. `None` stands for a stage with
/// something wrong in it or above it.
pub(crate) fn check(
    document: &Document<'_>,
    graph: &Graph,
    suggest: &Suggest,
    patterns: &Patterns,
    problems: &mut Vec<Problem>,
) -> Vec<Option<Checked>> {
    let mut options = options::read_all(document, suggest, patterns, problems);
    let mut checker = Checker { document, graph, suggest, problems };
    let mut checked: Vec<Option<Checked>> = document.stages.iter().map(|_| None).collect();
    let settings: Vec<_> = document.stages.iter().map(|stage| checker.settings(stage)).collect();
    let mut settings = settings.into_iter().map(Some).collect::<Vec<_>>();
    for index in graph.order.iter().copied() {
        let Some(options) = options.get_mut(index).and_then(Option::take) else { continue };
        let settings = settings.get_mut(index).and_then(Option::take).flatten();
        let outcome = checker.stage(index, options, settings, &checked);
        if let Some(slot) = checked.get_mut(index) {
            *slot = outcome;
        }
    }
    ports::unused(document, graph, &checked, problems);
    checked
}

/// What a stage's words say of its workers, read as far as that goes without the input.
struct Settings {
    mode: Mode,
    workers: usize,
    pool: usize,
    process: ProcessPlan,
    /// Words under `run` that mean nothing in this mode.
    idle: Vec<&'static str>,
    ordered: bool,
    asked: Option<Distribution>,
}

struct Checker<'a> {
    document: &'a Document<'a>,
    graph: &'a Graph,
    suggest: &'a Suggest,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn settings(&mut self, stage: &Declared<'_>) -> Option<Settings> {
        let words: &StageWords = stage.words.as_ref()?;
        let before = self.problems.len();
        let channel = stage.node.get("channel");
        let is_source = stage.kind.is_some_and(|kind| kind.role() == Role::Source);
        if let Some(entry) = stage.node.entry("channel").filter(|_| is_source) {
            self.problems.push(
                Problem::at(
                    entry.key_span,
                    "`channel` is about the input of a stage, and a source has none",
                )
                .help("put it at the stages that take from this one"),
            );
        }
        let mode = self.mode(stage, &words.run);
        let process = Self::process(&words.run);
        let idle = if mode == Mode::Process { Vec::new() } else { words.run.of_process() };
        let pool = self.pool(stage, &words.run, mode);
        let distribute = channel.and_then(|node| node.entry("distribute"));
        let asked = match (&words.channel.distribute, distribute) {
            (Some(text), Some(entry)) => {
                match distribute::parse(text, entry.mark(), self.suggest) {
                    Ok(asked) => Some(asked),
                    Err(problem) => {
                        self.problems.push(problem);
                        None
                    }
                }
            }
            _ => None,
        };
        (self.problems.len() == before).then(|| Settings {
            mode,
            workers: words.run.workers.unwrap_or(1),
            pool: pool.unwrap_or(0),
            process,
            idle,
            ordered: words.run.ordered,
            asked,
        })
    }

    /// The mode that is named, or the one of its kind.
    fn mode(&mut self, stage: &Declared<'_>, run: &RunWords) -> Mode {
        let program = stage.kind.and_then(|kind| kind.program());
        let mode = match run.mode {
            Some(ModeWord::Threaded) => Mode::Threaded,
            Some(ModeWord::Pooled) => Mode::Pooled,
            Some(ModeWord::Process) => Mode::Process,
            None if program.is_some() => Mode::Process,
            None => Mode::Pooled,
        };
        if let (Some(program), Some(kind)) = (program.filter(|_| mode != Mode::Process), stage.kind)
        {
            let place = stage.node.get("run").and_then(|run| run.entry("mode"));
            let mark = place.map_or(stage.mark, |entry| entry.mark());
            let (kind, mode) = (kind.name(), mode.name());
            self.problems.push(
                Problem::at(mark, format!("`{kind}` cannot run in the mode `{mode}`")).help(
                    format!("it is a stage of `{program}`: leave `mode` out, or write `process`"),
                ),
            );
        }
        mode
    }

    /// What the words say of child processes.
    fn process(run: &RunWords) -> ProcessPlan {
        let standard = ProcessPlan::default();
        ProcessPlan {
            limits: ProcessLimits {
                memory: run.limits.memory.map(|size| size.0),
                cpu: run.limits.cpu.map(|time| time.0),
                open_files: run.limits.open_files,
            },
            timeout: match run.timeout {
                None => standard.timeout,
                Some(time) => (!time.0.is_zero()).then_some(time.0),
            },
            restarts: run.restarts.unwrap_or(standard.restarts),
            env: run.env.clone(),
        }
    }

    fn pool(&mut self, stage: &Declared<'_>, run: &RunWords, mode: Mode) -> Option<usize> {
        let name = run.pool.as_deref()?;
        let entry = stage.node.get("run")?.entry("pool")?;
        if mode != Mode::Pooled {
            let mode = mode.name();
            self.problems.push(
                Problem::at(
                    entry.mark(),
                    format!("`pool` goes with `mode: pooled`: {mode} workers use no pool"),
                )
                .help("leave `pool` out, or write `mode: pooled`"),
            );
            return None;
        }
        let pools = self.document.pools.as_ref()?;
        let found = pools.iter().position(|pool| pool.name == name);
        if found.is_none() {
            let known = || pools.iter().map(|pool| pool.name.as_str());
            let problem = Problem::at(entry.mark(), format!("there is no pool named `{name}`"));
            self.problems.push(match self.suggest.nearest(name, known()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!(
                    "the pools are {}; others are named under `pools`",
                    list(known())
                )),
            });
        }
        found
    }

    fn stage(
        &mut self,
        index: usize,
        options: Options,
        settings: Option<Settings>,
        checked: &[Option<Checked>],
    ) -> Option<Checked> {
        let stage = self.document.stages.get(index)?;
        let kind = stage.kind?;
        if self.graph.unknown.get(index).copied().unwrap_or(true) {
            return None;
        }
        let input = self.input(index, checked)?;
        let given = (kind.role() != Role::Source).then_some(&input);
        let planned = catch_unwind(AssertUnwindSafe(|| kind.plan(&options.value, given)));
        let planned = planned.unwrap_or_else(|_| {
            Err(Error::internal(format!("`{}` panicked while it checked its options", kind.name()))
                .help("this is a bug of the stage"))
        });
        let mut planned = match planned {
            Ok(planned) => planned,
            Err(error) => {
                if !options.explains(&error) {
                    let problem = self.of_kind(&options, &error, &input);
                    self.problems.push(problem);
                }
                return None;
            }
        };
        if kind.role() == Role::Sink {
            planned.output = Arc::new(Schema::empty());
        }
        let run = settings.and_then(|settings| self.run(stage, settings, &planned, &input));
        let mut options = options;
        let second = match run.as_ref().map(|run| run.workers) {
            Some(workers @ 2..) if planned.steps.is_some() => {
                let divided =
                    steps::divide(kind.as_ref(), &options.value, &input, &planned, workers);
                match divided {
                    Ok((first, second)) => {
                        options.value = first;
                        Some(second)
                    }
                    Err(error) => {
                        let problem = self.of_kind(&options, &error, &input);
                        self.problems.push(problem);
                        return None;
                    }
                }
            }
            _ => None,
        };
        // What comes out may depend on what was left out.
        let (offered, hints) = (Arc::clone(&planned.output), Vec::new());
        (!options.lacking).then_some(Checked {
            options: options.value,
            input,
            planned,
            offered,
            hints,
            run,
            second,
        })
    }

    /// The schema that comes in; none when something above is wrong, or the inputs differ.
    fn input(&mut self, index: usize, checked: &[Option<Checked>]) -> Option<SchemaRef> {
        let stage = self.document.stages.get(index)?;
        let inputs = self.graph.inputs.get(index)?;
        let mut schemas = Vec::with_capacity(inputs.len());
        let before = self.problems.len();
        for wire in inputs {
            let above = checked.get(wire.stage)?.as_ref()?;
            let name = self.document.stages.get(wire.stage)?.name.as_str();
            let found = ports::find(wire, name, &above.planned.ports, self.suggest);
            self.problems.extend(found.err());
            schemas.push((name, Arc::clone(&above.planned.output)));
        }
        if self.problems.len() > before {
            return None;
        }
        match unite(&schemas) {
            Ok(united) => Some(united),
            Err(difference) => {
                let mark = stage.node.entry("from").map_or(stage.mark, |entry| entry.key_span);
                self.problems.push(
                    Problem::at(
                        mark,
                        format!("the inputs of `{}` have different columns", stage.name),
                    )
                    .help(difference)
                    .help("bring them into one shape first"),
                );
                None
            }
        }
    }

    /// An error of the kind itself, at the option it names.
    fn of_kind(&self, options: &Options, error: &Error, input: &Schema) -> Problem {
        let place = options.place(error);
        let mut problem = Problem::at(place, error.message());
        if let Some(column) = error.column_name() {
            let known = input.fields().iter().map(|field| field.name().as_str());
            let near = self.suggest.nearest(column, known).filter(|near| *near != column);
            if let Some(near) = near {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            problem = problem.help(describe(input));
        }
        match error.help_text() {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    fn run(
        &mut self,
        stage: &Declared<'_>,
        settings: Settings,
        planned: &Planned,
        input: &Schema,
    ) -> Option<Run> {
        let Settings { mode, workers, pool, mut process, idle, ordered, asked } = settings;
        // Not an error: one word changes the mode, and the others may stay.
        let notes = idle.into_iter().map(|word| {
            let mode = mode.name();
            format!("`{word}` does nothing here: it goes with `mode: process`, not `{mode}`")
        });
        let notes = notes.collect();
        if planned.blocks && process.timeout == ProcessPlan::default().timeout {
            // It may wait for ever, and nothing is wrong.
            process.timeout = None;
        }
        let place = |part: &str, word: &str| {
            let entry = stage.node.get(part).and_then(|node| node.entry(word));
            entry.map_or(stage.mark, |entry| entry.mark())
        };
        let marks =
            Marks { workers: place("run", "workers"), distribute: place("channel", "distribute") };
        let needs = steps::needs(planned);
        let decided = distribute::decide(&stage.name, asked.clone(), needs, workers, &marks);
        let found = match (&asked, &decided) {
            (Some(asked), _) => {
                distribute::check_columns(asked, input, marks.distribute, self.suggest)
            }
            (None, Ok(own)) => distribute::check_columns(own, input, stage.mark, self.suggest),
            (None, Err(_)) => Vec::new(),
        };
        let fits = found.is_empty();
        self.problems.extend(found);
        // With `broadcast`, each worker adds its own rows to the result.
        let scales = asked != Some(Distribution::Broadcast)
            && distribute::decide(&stage.name, asked, needs, 2, &marks).is_ok();
        match decided {
            Ok(distribution) => fits.then_some(Run {
                mode,
                workers,
                scales,
                pool,
                process,
                notes,
                ordered,
                distribution,
            }),
            // A column that does not exist was the point already.
            Err(problem) => {
                if fits {
                    self.problems.push(problem);
                }
                None
            }
        }
    }
}
