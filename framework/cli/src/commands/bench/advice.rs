//! What limits the pipeline, and what to do about it, in words.

use gristmill_config::{Plan, StageId};
use serde::Serialize;

use super::job::{Figures, Setting};
use super::statistics::median;
use super::summary::{Round, Row, Verdict, shares};
use crate::args::Bench;
use crate::figures::percent;

/// A stage that is busy less than this does not limit anything by itself.
const BUSY: f64 = 0.5;
/// Two stages nearer than this are about as busy.
const ALIKE: f64 = 0.1;
/// Runs shorter than this are mostly start and end.
const SHORT: f64 = 0.1;

/// What a stage does with the time of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    /// Its name.
    pub stage: String,
    /// In its calls.
    pub busy: f64,
    /// Without input.
    pub waiting: f64,
    /// Without room for output.
    pub blocked: f64,
}

/// Which stage holds the others up.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// The stage, if it is one.
    pub stage: Option<String>,
    /// Processors in use.
    pub processors: f64,
    /// What each stage does with its time, as the file stands.
    pub shares: Vec<Share>,
    /// It in words.
    pub words: String,
}

/// What to do with a stage.
#[derive(Debug, Clone, Serialize)]
pub struct StageAdvice {
    /// How it should run.
    #[serde(flatten)]
    pub setting: Setting,
    /// Whether that is another than the file says.
    pub change: bool,
    /// It in words.
    pub words: String,
}

/// What to do with the pipeline.
#[derive(Debug, Clone, Serialize)]
pub struct Advice {
    /// Whether anything should change.
    pub change: bool,
    /// Rows per second against those of the file as it stands.
    pub gain: f64,
    /// The corrected chance that this is noise.
    pub chance: f64,
    /// It in words.
    pub words: String,
    /// Stage by stage.
    pub stages: Vec<StageAdvice>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Finds the limit in the runs of the file as it stands.
pub fn limit(plan: &Plan, alone: bool, file: &Row) -> Limit {
    let share = |setting: &Setting| {
        let [busy, waiting, blocked] = shares(&file.runs, &setting.stage);
        Share { stage: setting.stage.clone(), busy, waiting, blocked }
    };
    let shares: Vec<Share> = file.variant.settings.iter().map(share).collect();
    let processors = median(&file.runs.iter().map(Figures::processors).collect::<Vec<_>>());
    let mut order: Vec<&Share> = shares.iter().collect();
    order.sort_by(|a, b| b.busy.total_cmp(&a.busy));
    let top = order.first().filter(|top| top.busy >= BUSY);
    let words = match (top, order.first()) {
        (_, Some(only)) if alone => {
            format!("`{}` is busy {} of the time", only.stage, percent(only.busy))
        }
        (Some(top), _) => {
            let mut words = why(plan, &shares, top);
            if let Some(next) = order.get(1).filter(|next| top.busy - next.busy < ALIKE) {
                words.push_str(&format!(
                    "; `{}` is about as busy, {}",
                    next.stage,
                    percent(next.busy)
                ));
            }
            words
        }
        (None, Some(top)) => format!(
            "no stage is busy half of the time; `{}` is most, {}",
            top.stage,
            percent(top.busy)
        ),
        (None, None) => "nothing was measured".to_owned(),
    };
    let stage = top.filter(|_| !alone).map(|top| top.stage.clone());
    Limit {
        words: words + &processors_in_words(processors, stage.is_some()),
        stage,
        processors,
        shares,
    }
}

/// The limit, with what its neighbours say for it.
fn why(plan: &Plan, shares: &[Share], top: &Share) -> String {
    let mut words = format!(
        "`{}` limits the pipeline: it is busy {} of the time",
        top.stage,
        percent(top.busy)
    );
    let Some(id) = plan.stages.iter().position(|stage| stage.name == top.stage) else {
        return words;
    };
    let share = |id: StageId| shares.iter().find(|share| share.stage == plan.stages[id].name);
    let before = plan.stages[id].inputs.iter().filter_map(|&edge| share(plan.edges[edge].from));
    if let Some(before) = before.max_by(|a, b| a.blocked.total_cmp(&b.blocked)) {
        words.push_str(&format!(
            ", `{}` before it is blocked {}",
            before.stage,
            percent(before.blocked)
        ));
    }
    let after = plan.stages[id].outputs.iter().filter_map(|&edge| share(plan.edges[edge].to));
    if let Some(after) = after.max_by(|a, b| a.waiting.total_cmp(&b.waiting)) {
        words.push_str(&format!(", `{}` behind it waits {}", after.stage, percent(after.waiting)));
    }
    words
}

/// What to say of a machine that has other work.
pub fn loaded(load: f64) -> Option<String> {
    let all = processors();
    (load > all / 2.0).then(|| {
        format!(
            "The machine had other work when this began (a load of {load:.1} on {all:.0} processors): \
             small differences drown in that."
        )
    })
}

/// What to say of a stage that was given its input several times over.
pub fn fed(passes: usize) -> Option<String> {
    (passes > 1).then(|| {
        format!(
            "The recorded input was short, so each run gave it to the stage {passes} times over."
        )
    })
}

fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |all| all.get() as f64)
}

fn processors_in_words(used: f64, limited: bool) -> String {
    let all = processors();
    let how = format!("{used:.1} of {all:.0} processors are in use");
    if used > 0.9 * all {
        format!(". {how}: more workers find none free")
    } else if used < 0.25 && limited {
        format!(
            ". {how}: it waits for something outside, so its own options matter more than `run`"
        )
    } else {
        format!(". {how}")
    }
}

/// What to do, from the last round.
pub fn advise(plan: &Plan, args: &Bench, round: &Round, limit: &Limit) -> Option<Advice> {
    let (file, (chosen, chance)) = (round.file()?, round.choice()?);
    let change = !chosen.variant.as_it_stands;
    let gain = chosen.rows_per_second.median / file.rows_per_second.median.max(1e-9);
    let words = if change {
        format!(
            "Recommended: {}. It makes {gain:.2} times the rows per second of {} as it stands (p {}).",
            chosen.variant.name,
            if args.stage.is_some() { "the stage alone" } else { "the file" },
            if chance < 0.001 { "< 0.001".to_owned() } else { format!("= {chance:.3}") }
        )
    } else if let Some(needed) = round.short_of() {
        format!(
            "Nothing to say: with so few runs of {} variants no difference shows beyond noise. \
             --repeat {needed} can show one.",
            round.variants.len()
        )
    } else {
        "Leave the file as it is: nothing that was measured is better beyond noise.".to_owned()
    };
    let stages = chosen.variant.settings.iter().filter_map(|setting| {
        stage_advice(setting, file.variant.setting(&setting.stage)?, limit, round)
    });
    let stages = stages.collect();
    Some(Advice { change, gain, chance, words, stages, notes: notes(plan, args, round, chosen) })
}

fn stage_advice(
    setting: &Setting,
    now: &Setting,
    limit: &Limit,
    round: &Round,
) -> Option<StageAdvice> {
    let share = limit.shares.iter().find(|share| share.stage == setting.stage)?;
    let change = setting != now;
    let words = if change {
        let Setting { stage, mode, workers } = setting;
        format!(
            "`{stage}`: run: {{ mode: {mode}, workers: {workers} }}, in place of {}",
            now.words()
        )
    } else {
        let why = match round.short_of() {
            None if limit.stage.as_ref() == Some(&setting.stage) => {
                "it is the limit, but no other way is better beyond noise".to_owned()
            }
            _ => format!("it is busy {} of the time", percent(share.busy)),
        };
        format!("`{}`: leave it {}; {why}", now.stage, now.words())
    };
    Some(StageAdvice { setting: setting.clone(), change, words })
}

fn notes(plan: &Plan, args: &Bench, round: &Round, chosen: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(file) = round.file() else { return notes };
    let alike: Vec<_> = round.variants.iter().filter(|row| row.verdict == Verdict::Noise).collect();
    if !alike.is_empty() {
        let names: Vec<_> = alike.iter().map(|row| row.variant.name.as_str()).collect();
        notes.push(format!("Not to be told from the best: {}.", names.join(", ")));
    }
    let shuffled = chosen.variant.settings.iter().filter(|setting| {
        let before = file.variant.setting(&setting.stage).map_or(1, |now| now.workers);
        let stage = plan.stages.iter().find(|stage| stage.name == setting.stage);
        before == 1 && setting.workers > 1 && stage.is_some_and(|stage| !stage.ordered)
    });
    let shuffled: Vec<_> = shuffled.map(|setting| format!("`{}`", setting.stage)).collect();
    if !shuffled.is_empty() {
        notes.push(format!(
            "With several workers rows leave {} in another order; `ordered: true` under `run` keeps it.",
            shuffled.join(", ")
        ));
    }
    let seconds = median(&file.runs.iter().map(|run| run.seconds).collect::<Vec<_>>());
    if seconds < SHORT {
        let help = if args.rows.is_some() { "raise --rows" } else { "give the pipeline more rows" };
        notes.push(format!(
            "A run took only {:.0} ms, and its start and end weigh in: {help}.",
            seconds * 1e3
        ));
    }
    if let Some(rejected) = file.runs.last().map(|run| run.rejected).filter(|rows| *rows > 0) {
        notes.push(match rejected {
            1 => "1 row was rejected in each run.".to_owned(),
            rows => format!("{rows} rows were rejected in each run."),
        });
    }
    for row in &round.variants {
        if let Some(why) = &row.failed {
            notes.push(format!("{} failed: {why}", row.variant.name));
        }
    }
    notes
}
