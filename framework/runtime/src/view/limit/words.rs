//! What limits, in a few sentences: which stage, by which numbers, and what to change.

use crate::view::StageView;

use super::look::Look;
use super::{Cause, Limit};

/// The diagnosis in words.
pub(super) fn of(look: &Look<'_>, limit: &Limit) -> String {
    let Some(id) = limit.stage else {
        return match limit.cause {
            Cause::Over => "The run is over.".to_owned(),
            Cause::Unknown => "The run is too young to say what limits it.".to_owned(),
            _ => "No stage limits the pipeline.".to_owned(),
        };
    };
    let mut sentences = vec![what(look, limit, id)];
    sentences.extend(neighbours(look, limit, id));
    sentences.extend(starved(look, limit));
    sentences.extend(advice(look, limit, id));
    sentences.join(" ")
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share.clamp(0.0, 1.0) * 100.0)
}

/// A number of rows or deaths as people read it.
fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 10.0 || value == value.round() => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

fn workers(stage: &StageView) -> String {
    match stage.workers.len() {
        1 => "its one worker".to_owned(),
        many => format!("its {many} workers"),
    }
}

/// What the stage does with its time.
fn what(look: &Look<'_>, limit: &Limit, id: usize) -> String {
    let stage = look.stage(id);
    let (name, busy, times) = (&stage.name, percent(limit.busy), stage.recent.times);
    match limit.cause {
        Cause::Computes => {
            let compute = if stage.workers.len() == 1 { "computes" } else { "compute" };
            let workers = workers(stage);
            format!("`{name}` limits the pipeline: {workers} {compute} {busy} of the time.")
        }
        Cause::Outside => format!(
            "`{name}` limits the pipeline: it is at work {busy} of the time, but computes only {} of that; the rest it waits for {}.",
            percent(look.computing(id)),
            outside(stage)
        ),
        Cause::Sink => format!(
            "`{name}` limits the pipeline: it is at work {busy} of the time, but computes only {} of that; the rest it waits until {} takes the rows.",
            percent(look.computing(id)),
            taker(stage)
        ),
        Cause::SlowInput => format!(
            "All wait for `{name}`: it gets its rows slowly, {} a second.",
            number(stage.recent.rows_out)
        ),
        Cause::NoInput => {
            format!("Nothing limits the pipeline: `{name}` got no row in the last seconds.")
        }
        Cause::Skew => skew(stage, limit),
        Cause::Order => format!(
            "`{name}` limits the pipeline: its workers wait {} of the time for their turn, as `ordered: true` keeps the order, though there is room behind them.",
            percent(times.blocked)
        ),
        Cause::Pool => pool(look, id),
        Cause::Machine => machine(look, id),
        Cause::Batches => format!(
            "`{name}` limits the pipeline: it is busy {busy} of the time with batches of {} rows, so what each batch costs outweighs its rows.",
            number(look.batch_rows(id))
        ),
        Cause::Deaths => format!(
            "`{name}` limits the pipeline: its child processes die again and again, {} in the last {:.0} seconds ({}).",
            number((stage.recent.deaths * look.view.window).round()),
            look.view.window,
            deaths(stage)
        ),
        Cause::Rejected => format!(
            "`{name}` is held up {} of the time by the file of rejected rows: it rejects {} rows a second, and one thread writes them.",
            percent(times.blocked),
            number(stage.recent.rejected)
        ),
        Cause::Nothing => format!(
            "Nothing limits the pipeline: no stage is busy half of the time; `{name}` is most, {busy}."
        ),
        Cause::Unknown | Cause::Over => String::new(),
    }
}

fn skew(stage: &StageView, limit: &Limit) -> String {
    let worker = limit.worker.unwrap_or(0);
    let rows: f64 = stage.workers.iter().map(|worker| worker.recent.rows_in).sum();
    let own = stage.workers.get(worker).map_or(0.0, |worker| worker.recent.rows_in);
    format!(
        "`{}` limits the pipeline, and there one of its {} workers: number {worker} is busy {} of the time, as it gets {} of the rows.",
        stage.name,
        stage.workers.len(),
        percent(limit.busy),
        percent(own / rows.max(1e-9))
    )
}

fn pool(look: &Look<'_>, id: usize) -> String {
    let (name, pool) = (&look.stage(id).name, look.pool(id));
    let threads = pool.map_or(0, |pool| pool.threads);
    format!(
        "The pool `{}` limits the pipeline: its {threads} thread{} always at work, and its stages, `{name}` most of all, could use more.",
        pool.map_or("", |pool| pool.name.as_str()),
        if threads == 1 { " is" } else { "s are" }
    )
}

fn machine(look: &Look<'_>, id: usize) -> String {
    let program = &look.view.program;
    let run = program.recent_processors;
    let others = program.recent_machine - run;
    let others = match others > 0.25 {
        true => format!(", and other programs use {others:.1}"),
        false => String::new(),
    };
    format!(
        "The processors limit the pipeline: it could use {:.1}, and uses {run:.1} of {}{others}. `{}` needs most of them.",
        look.demand(),
        program.processors,
        look.stage(id).name
    )
}

fn outside(stage: &StageView) -> &'static str {
    match (stage.kind.as_str(), stage.role.as_str()) {
        ("fetch", _) => "the servers' answers",
        ("command", _) => "the program that it starts",
        (_, "source") => "where it reads from",
        _ => "something outside of the run",
    }
}

fn taker(stage: &StageView) -> &'static str {
    match stage.kind.as_str() {
        "sqlite" | "postgres" => "the database",
        "write" => "the disk, or whoever reads what it writes,",
        _ => "where it writes to",
    }
}

/// How children died, the most frequent first.
fn deaths(stage: &StageView) -> String {
    let children = stage.workers.iter().filter_map(|worker| worker.child.as_ref());
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for (class, count) in children.flat_map(|child| &child.deaths) {
        *sums.entry(class).or_default() += count;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<_> = sums.iter().map(|(class, _)| *class).collect();
    words.join(", ")
}

/// What those beside it say for it.
fn neighbours(look: &Look<'_>, limit: &Limit, id: usize) -> Option<String> {
    if matches!(limit.cause, Cause::SlowInput | Cause::NoInput | Cause::Nothing | Cause::Machine) {
        return None;
    }
    let before = look.inputs(id).map(|edge| look.stage(edge.from));
    let before = before.max_by(|a, b| a.recent.times.blocked.total_cmp(&b.recent.times.blocked));
    let behind = look.outputs(id).map(|edge| look.stage(edge.to));
    let behind = behind.max_by(|a, b| a.recent.times.waiting.total_cmp(&b.recent.times.waiting));
    let before = before.filter(|stage| stage.recent.times.blocked >= 0.2).map(|stage| {
        format!("`{}` before it is blocked {}", stage.name, percent(stage.recent.times.blocked))
    });
    let behind = behind.filter(|stage| stage.recent.times.waiting >= 0.2).map(|stage| {
        format!("`{}` behind it waits {}", stage.name, percent(stage.recent.times.waiting))
    });
    match (before, behind) {
        (Some(before), Some(behind)) => Some(format!("{before}, {behind}.")),
        (Some(one), None) | (None, Some(one)) => Some(format!("{one}.")),
        (None, None) => None,
    }
}

fn starved(look: &Look<'_>, limit: &Limit) -> Option<String> {
    let names: Vec<_> =
        limit.starved.iter().map(|&id| format!("`{}`", look.stage(id).name)).collect();
    (!names.is_empty()).then(|| {
        let wait = if names.len() == 1 { "waits" } else { "wait" };
        format!(
            "{} on another branch {wait} because of it: what they have in common sends on when all have room.",
            names.join(", ")
        )
    })
}

/// What to change.
fn advice(look: &Look<'_>, limit: &Limit, id: usize) -> Option<String> {
    let stage = look.stage(id);
    Some(match limit.cause {
        Cause::Computes => more_workers(look, id),
        Cause::Outside => outside_advice(stage),
        Cause::Sink => match stage.kind.as_str() {
            "sqlite" | "postgres" => {
                "Look at the database: its indexes, its locks, its disk.".to_owned()
            }
            _ => "The run cannot be faster than what it writes to; a compressed or columnar format (`path: ….zst`, `….parquet`) writes less.".to_owned(),
        },
        Cause::SlowInput => {
            "The pipeline keeps up with it; only a faster source makes more rows.".to_owned()
        }
        Cause::Skew => {
            "Most rows are equal in the columns that they are dealt out by: choose others in `channel: { distribute: hash(…) }`, or leave `distribute` out if the stage does not need it.".to_owned()
        }
        Cause::Order => {
            "Leave out `ordered: true` if the order does not matter; if it does, smaller batches (`batch: { rows: … }`) make shorter turns.".to_owned()
        }
        Cause::Pool => {
            let pool = stage.pool.as_deref().unwrap_or_default();
            let all = look.view.program.processors;
            format!(
                "Give it more threads, `pools: {{ {pool}: {{ threads: {all} }} }}`, or `{}` its own with `run: {{ mode: threaded }}`.",
                stage.name
            )
        }
        Cause::Machine => {
            "More workers do not help: let it do less (filter earlier, leave out columns), or use a machine with more processors.".to_owned()
        }
        Cause::Batches if stage.batch_rows < 1024 => format!(
            "Make them larger: `batch: {{ rows: 8192 }}` in place of {}.",
            stage.batch_rows
        ),
        Cause::Batches => {
            let from: Vec<_> = look
                .inputs(id)
                .map(|edge| format!("`{}`", look.stage(edge.from).name))
                .collect();
            format!(
                "They come so small from {}: filter later, or put fewer stages behind it.",
                from.join(", ")
            )
        }
        Cause::Deaths => {
            "What they wrote to stderr is in the log, and rows that kill end in the rejected rows with the signal; if it is memory, raise `run: { limits: { memory: … } }` or make batches smaller.".to_owned()
        }
        Cause::Rejected => {
            "See the reasons in the rejected rows: a `filter` before the stage, or options that fit the rows, spare that work.".to_owned()
        }
        Cause::NoInput | Cause::Nothing | Cause::Unknown | Cause::Over => return None,
    })
}

fn more_workers(look: &Look<'_>, id: usize) -> String {
    let stage = look.stage(id);
    let all = look.view.program.processors;
    let (now, name) = (stage.workers.len(), &stage.name);
    if !stage.scales {
        return format!(
            "It can have one worker only: let it do less (filter earlier, leave out columns), or move part of `{name}` into a stage before it."
        );
    }
    let free = all as f64 - look.view.program.recent_machine.max(look.demand());
    let more = (now + (free.round().max(1.0) as usize)).min(all.max(now + 1));
    let mut text = format!("Give it more workers: `run: {{ workers: {more} }}`.");
    if free < 0.5 {
        text.push_str(&format!(" But of {all} processors hardly one is free."));
    }
    if let Some(pool) = look.pool(id).filter(|pool| pool.threads < more) {
        let (name, threads) = (&pool.name, pool.threads);
        let s = if threads == 1 { "" } else { "s" };
        text.push_str(&format!(" The pool `{name}` has {threads} thread{s}: raise that, too."));
    }
    text
}

fn outside_advice(stage: &StageView) -> String {
    let more = 2 * stage.workers.len();
    match (stage.kind.as_str(), stage.scales) {
        ("fetch", _) => "Let more requests be under way, `with: { concurrency: … }`, as far as the servers bear it.".to_owned(),
        ("command", true) => format!(
            "Run several of these programs at once, `run: {{ workers: {more} }}`, or give each start more rows with `batch: {{ rows: … }}`."
        ),
        (_, true) => format!("As it does not need the processor, more workers help: `run: {{ workers: {more} }}`."),
        _ => "The run cannot be faster than that.".to_owned(),
    }
}
