//! Puts other `run` words into the text of a pipeline, and leaves the rest as its author wrote it.

use std::ops::Range;

use gristmill_stage::Registry;

use crate::node::{Data, Entry, Node};
use crate::parse::parse;
use crate::plan::{Mode, Plan, RunChoice, StagePlan};
use crate::span::Lines;
use crate::suggest::Suggest;
use crate::{Source, Variables, load, load_with};

/// The text of a pipeline with these choices under `run`. Everything else, comments and blanks
/// included, stays as it is. What comes out was checked: it gives the very plan that
/// [`load_with`] gives for the choices.
///
/// # Errors
/// Why it cannot be done without changing more than the `run` words, as a sentence.
pub fn rewrite(
    source: &Source,
    variables: &Variables,
    registry: &Registry,
    choices: &[RunChoice],
) -> Result<String, String> {
    let wrong = |_| "the pipeline has errors".to_owned();
    let plan = load(source, variables, registry).map_err(wrong)?;
    let wanted = load_with(source, variables, registry, choices)
        .map_err(|_| "a stage cannot run as chosen".to_owned())?;
    let root = parse(source.text(), variables, &Suggest::new()).root;
    let root = root.ok_or_else(|| "there is no pipeline in it".to_owned())?;
    let stages = root.get("stages").map(Node::items).unwrap_or_default();
    let mut edits = Vec::new();
    for choice in choices {
        let same = |stage: &&StagePlan| stage.name == choice.stage;
        let Some(now) = plan.stages.iter().find(same) else { continue };
        if (now.mode, now.workers) == (choice.mode, choice.workers) {
            continue;
        }
        let node = stages.iter().find(|node| name(node) == Some(&choice.stage));
        let node = node.ok_or_else(|| format!("`{}` is not in the text", choice.stage))?;
        Editor { text: source.text(), now, choice }
            .edit(node, &mut edits)
            .map_err(|why| format!("`{}`: {why}", choice.stage))?;
    }
    let text = apply(source.text(), edits)?;
    let changed = load(&Source::new(source.name(), &text), variables, registry);
    match changed {
        Ok(changed) if agree(&changed, &wanted) => Ok(text),
        _ => Err("the words under `run` are shared with other parts of the file".to_owned()),
    }
}

fn name(stage: &Node) -> Option<&str> {
    stage.get("name").and_then(Node::text).or_else(|| stage.get("type").and_then(Node::text))
}

/// Whether two plans are the same in all that a text can say.
fn agree(a: &Plan, b: &Plan) -> bool {
    let stages = |a: &StagePlan, b: &StagePlan| {
        (&a.name, &a.kind, &a.options) == (&b.name, &b.kind, &b.options)
            && (a.mode, a.workers, a.pool, a.ordered) == (b.mode, b.workers, b.pool, b.ordered)
            && (&a.inputs, &a.outputs, &a.output) == (&b.inputs, &b.outputs, &b.output)
    };
    a.name == b.name
        && (&a.pools, &a.rejected) == (&b.pools, &b.rejected)
        && a.stages.len() == b.stages.len()
        && a.edges.len() == b.edges.len()
        && a.stages.iter().zip(&b.stages).all(|(a, b)| stages(a, b))
        && a.edges.iter().zip(&b.edges).all(|(a, b)| {
            (a.from, a.to, a.bound, &a.distribution) == (b.from, b.to, b.bound, &b.distribution)
        })
}

/// What to put in place of some bytes of the text.
type Edit = (Range<usize>, String);

fn apply(text: &str, mut edits: Vec<Edit>) -> Result<String, String> {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    edits.dedup();
    let mut new = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (range, words) in edits {
        let kept = text.get(done..range.start);
        new.push_str(kept.ok_or_else(|| "two stages share one `run`".to_owned())?);
        new.push_str(&words);
        done = range.end;
    }
    new.push_str(text.get(done..).unwrap_or_default());
    Ok(new)
}

/// Finds the edits for one stage.
struct Editor<'a> {
    text: &'a str,
    now: &'a StagePlan,
    choice: &'a RunChoice,
}

impl Editor<'_> {
    fn edit(&self, stage: &Node, edits: &mut Vec<Edit>) -> Result<(), String> {
        match stage.entry("run") {
            None => edits.push(self.new_run(stage)?),
            Some(run) if run.value.is_null() || run.value.entries().is_empty() => {
                return Err("its `run` is empty; take it out".to_owned());
            }
            Some(run) => self.words(&run.value, edits)?,
        }
        Ok(())
    }

    /// A `run` behind the `type`.
    fn new_run(&self, stage: &Node) -> Result<Edit, String> {
        let kind = stage.entry("type").ok_or_else(|| "it has no `type`".to_owned())?;
        let RunChoice { mode, workers, .. } = self.choice;
        let run = format!("run: {{ mode: {}, workers: {workers} }}", mode.name());
        let end = kind.value.span.end;
        if self.is_flow(stage) {
            return Ok((end..end, format!(", {run}")));
        }
        let (line, indent) = self.line(kind)?;
        let feed = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        Ok((line.end..line.end, format!("{feed}{indent}{run}")))
    }

    /// The words of a `run` that is there.
    fn words(&self, run: &Node, edits: &mut Vec<Edit>) -> Result<(), String> {
        let mode = (self.choice.mode != self.now.mode).then(|| self.choice.mode.name().to_owned());
        let workers =
            (self.choice.workers != self.now.workers).then(|| self.choice.workers.to_string());
        // Only pooled workers have a pool.
        let pool = run.entries().iter().position(|entry| entry.key == "pool");
        let pool = pool.filter(|_| self.choice.mode != Mode::Pooled);
        for (word, value) in [("mode", mode), ("workers", workers)] {
            let Some(value) = value else { continue };
            if let Some(entry) = run.entry(word) {
                edits.push((self.scalar(entry)?, value));
            } else if let Some(entry) = pool.and_then(|at| run.entries().get(at))
                && word == "mode"
            {
                edits.push((
                    entry.key_span.start..self.scalar(entry)?.end,
                    format!("mode: {value}"),
                ));
            } else if let Some(first) = run.entries().first() {
                let at = first.key_span.start;
                let between = match self.is_flow(run) {
                    true => ", ".to_owned(),
                    false => format!("\n{}", self.line(first)?.1),
                };
                edits.push((at..at, format!("{word}: {value}{between}")));
            }
        }
        match pool {
            Some(at) if run.entry("mode").is_some() => {
                edits.push((self.whole(run, at)?, String::new()))
            }
            _ => {}
        }
        Ok(())
    }

    /// The bytes to take out with an entry.
    fn whole(&self, map: &Node, at: usize) -> Result<Range<usize>, String> {
        let entries = map.entries();
        let entry = entries.get(at).ok_or_else(|| "it has no such word".to_owned())?;
        if !self.is_flow(map) {
            let line = self.line(entry)?.0;
            let after = self.text.get(line.end..).unwrap_or_default();
            let feed = if after.starts_with("\r\n") { 2 } else { usize::from(!after.is_empty()) };
            return Ok(line.start..line.end + feed);
        }
        match (entries.get(at + 1), at.checked_sub(1).and_then(|before| entries.get(before))) {
            (Some(next), _) => Ok(entry.key_span.start..next.key_span.start),
            (None, Some(before)) => Ok(before.value.span.end..self.scalar(entry)?.end),
            (None, None) => Ok(entry.key_span.start..self.scalar(entry)?.end),
        }
    }

    /// The place of a plain value.
    fn scalar(&self, entry: &Entry) -> Result<Range<usize>, String> {
        let span = entry.value.span;
        let raw = span.of(self.text);
        let plain = matches!(entry.value.data, Data::Scalar(_)) && !raw.is_empty();
        if raw.contains('$') {
            return Err(format!("its `{}` comes from a variable", entry.key));
        }
        if !plain || raw.starts_with(['&', '*', '!']) || entry.key_span.end > span.start {
            return Err(format!("its `{}` is not written as a plain word", entry.key));
        }
        Ok(span.start..span.end)
    }

    fn is_flow(&self, map: &Node) -> bool {
        self.text.get(map.span.start..).is_some_and(|text| text.starts_with('{'))
    }

    /// The line that holds an entry of a block mapping, and the blanks that bring another entry
    /// under it.
    fn line(&self, entry: &Entry) -> Result<(Range<usize>, String), String> {
        let lines = Lines::of(self.text);
        let line = lines.line(entry.key_span.start);
        let range = lines.range(line, self.text);
        let before = self.text.get(range.start..entry.key_span.start).unwrap_or_default();
        let one_line = lines.line(entry.value.span.end) == line;
        if !one_line || !before.chars().all(|c| matches!(c, ' ' | '-')) {
            return Err(format!("its `{}` is not on a line of its own", entry.key));
        }
        Ok((range, " ".repeat(before.len())))
    }
}
