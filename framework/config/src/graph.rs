//! Who takes from whom: names, `from`, circles, and an order in which inputs come first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use gristmill_stage::Role;

use crate::document::Declared;
use crate::node::{Data, Node};
use crate::problem::Problem;
use crate::span::Span;
use crate::suggest::Suggest;

/// What a stage takes from.
pub(crate) struct Wire {
    /// The stage.
    pub(crate) stage: usize,
    /// The name of one of its outputs, if one is named. Whether it has that is not known here.
    pub(crate) port: Option<String>,
    /// Where it is said.
    pub(crate) span: Span,
}

/// The wiring of a document. Stages go by their index in the file.
pub(crate) struct Graph {
    /// What each stage takes from.
    pub(crate) inputs: Vec<Vec<Wire>>,
    /// Stages whose input is not known because of an error.
    pub(crate) unknown: Vec<bool>,
    /// Stages in an order in which inputs come first; those on or behind a circle are left out.
    pub(crate) order: Vec<usize>,
}

impl Graph {
    /// Whether the rows of one stage come to another, maybe through others.
    pub(crate) fn feeds(&self, from: usize, to: usize) -> bool {
        let (mut open, mut seen) = (vec![to], HashSet::new());
        while let Some(stage) = open.pop() {
            if stage == from {
                return true;
            }
            if seen.insert(stage) {
                open.extend(self.inputs.get(stage).into_iter().flatten().map(|wire| wire.stage));
            }
        }
        false
    }
}

/// Wires the stages.
pub(crate) fn wire(
    stages: &[Declared<'_>],
    suggest: &Suggest,
    problems: &mut Vec<Problem>,
) -> Graph {
    let names = names(stages, problems);
    let mut wiring = Wiring {
        stages,
        names,
        suggest,
        problems,
        taken: vec![false; stages.len()],
        lost: false,
        unknown: vec![false; stages.len()],
    };
    let inputs: Vec<_> = (0..stages.len()).map(|index| wiring.inputs(index)).collect();
    wiring.unused();
    let unknown = wiring.unknown;
    let order = order(&inputs);
    if order.len() < stages.len() {
        circles(stages, &inputs, &order, problems);
    }
    Graph { inputs, unknown, order }
}

fn names<'s>(stages: &'s [Declared<'_>], problems: &mut Vec<Problem>) -> HashMap<&'s str, usize> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, stage) in stages.iter().enumerate().filter(|(_, stage)| !stage.name.is_empty()) {
        let Some(first) =
            names.get(stage.name.as_str()).copied().and_then(|first| stages.get(first))
        else {
            names.insert(&stage.name, index);
            continue;
        };
        let unnamed = stage.node.get("name").is_none() || first.node.get("name").is_none();
        let problem = Problem::at(stage.mark, format!("two stages are named `{}`", stage.name))
            .also(first.mark, "the other is here");
        problems.push(if unnamed {
            problem.help(
                "a stage without a `name` is named by its type: give each a `name` of its own",
            )
        } else {
            problem.help("give one of them another `name`")
        });
    }
    names
}

struct Wiring<'s, 'p> {
    stages: &'s [Declared<'s>],
    names: HashMap<&'s str, usize>,
    suggest: &'s Suggest,
    problems: &'p mut Vec<Problem>,
    /// Whether someone takes a stage's output.
    taken: Vec<bool>,
    /// Whether some `from` leads nowhere, so that any output may be the one it meant.
    lost: bool,
    unknown: Vec<bool>,
}

impl Wiring<'_, '_> {
    fn role(&self, index: usize) -> Option<Role> {
        self.stages.get(index)?.kind.map(|kind| kind.role())
    }

    fn take(&mut self, index: usize) {
        if let Some(taken) = self.taken.get_mut(index) {
            *taken = true;
        }
    }

    fn fail(&mut self, index: usize, problem: Problem) {
        self.problems.push(problem);
        if let Some(unknown) = self.unknown.get_mut(index) {
            *unknown = true;
        }
    }

    fn inputs(&mut self, index: usize) -> Vec<Wire> {
        let Some(stage) = self.stages.get(index) else { return Vec::new() };
        let from = stage.node.entry("from").filter(|entry| !entry.value.is_null());
        match (from, self.role(index)) {
            (Some(entry), Some(Role::Source)) => {
                let kind = stage.kind.map_or("", |kind| kind.name());
                let message = format!("`{}` is a source and takes no input", stage.name);
                let problem = Problem::at(entry.key_span, message).help(format!(
                    "leave `from` out, or put a type in place of `{kind}` that takes input"
                ));
                self.fail(index, problem);
                self.lost = true;
                Vec::new()
            }
            (Some(entry), _) => self.named(index, &entry.value),
            (None, Some(Role::Source)) => Vec::new(),
            (None, role) => self.before(index, role),
        }
    }

    /// The input of a stage that says no `from`: the stage before it.
    fn before(&mut self, index: usize, role: Option<Role>) -> Vec<Wire> {
        let Some(stage) = self.stages.get(index) else { return Vec::new() };
        let before =
            index.checked_sub(1).and_then(|before| Some((before, self.stages.get(before)?)));
        let problem = match before {
            Some((before, _)) if self.role(before) != Some(Role::Sink) => {
                self.take(before);
                return vec![Wire { stage: before, port: None, span: stage.mark }];
            }
            Some((_, sink)) => {
                let message =
                    format!("`{}` has no input: the stage before it is a sink", stage.name);
                Problem::at(stage.mark, message)
                    .also(sink.mark, "nothing comes out of this one")
                    .help("say by `from` which stage it takes its input from")
            }
            None => Problem::at(
                stage.mark,
                format!("`{}` has no input: it is the first stage", stage.name),
            )
            .help("put a source before it, or say by `from` which stage it takes its input from"),
        };
        // Of an unknown kind it is not known whether it needs any.
        if role.is_some() {
            self.fail(index, problem);
        } else if let Some(unknown) = self.unknown.get_mut(index) {
            *unknown = true;
        }
        Vec::new()
    }

    /// The inputs that `from` names.
    fn named(&mut self, index: usize, from: &Node) -> Vec<Wire> {
        let nodes = match &from.data {
            Data::List(items) => items.as_ref(),
            _ => std::slice::from_ref(from),
        };
        let mut inputs: Vec<Wire> = Vec::new();
        let mut seen: HashSet<(usize, Option<&str>)> = HashSet::new();
        for node in nodes {
            let Some(name) = node.text() else {
                // The shape was found wrong before.
                self.lost = true;
                if let Some(unknown) = self.unknown.get_mut(index) {
                    *unknown = true;
                }
                continue;
            };
            let (found, port) = self.find(name);
            match found {
                None => self.nowhere(index, name, node.span),
                Some(input) if input == index => {
                    let problem =
                        Problem::at(node.span, format!("`{name}` takes its input from itself"))
                            .help("name another stage");
                    self.lost = true;
                    self.fail(index, problem);
                }
                Some(input) if self.role(input) == Some(Role::Sink) => {
                    let problem = Problem::at(
                        node.span,
                        format!("`{name}` is a sink: nothing comes out of it"),
                    )
                    .help("take from the stage that feeds it: a stage can feed several");
                    self.fail(index, problem);
                }
                Some(input) if !seen.insert((input, port)) => {
                    let problem = Problem::at(node.span, format!("`{name}` is named twice"))
                        .help("name each input once");
                    self.fail(index, problem);
                }
                Some(input) => {
                    self.take(input);
                    let port = port.map(str::to_owned);
                    inputs.push(Wire { stage: input, port, span: node.span });
                }
            }
        }
        inputs
    }

    /// The stage of that name, or the stage and its output that `stage.output` names.
    fn find<'n>(&self, name: &'n str) -> (Option<usize>, Option<&'n str>) {
        let stage = self.names.get(name).copied();
        match name.rsplit_once('.') {
            Some((stage, port)) if !self.names.contains_key(name) => {
                (self.names.get(stage).copied(), Some(port))
            }
            _ => (stage, None),
        }
    }

    fn nowhere(&mut self, index: usize, name: &str, span: Span) {
        let names = || self.stages.iter().map(|stage| stage.name.as_str());
        let known = names().filter(|name| !name.is_empty());
        let near = self.suggest.nearest(name, known.clone()).map(str::to_owned);
        // `rooter.errors` may mean an output of `router`.
        let outer = name.rsplit_once('.').filter(|_| near.is_none());
        let outer = outer.and_then(|(stage, port)| {
            let near = self.suggest.nearest(stage, known.clone())?;
            Some((near.to_owned(), port))
        });
        let problem = Problem::at(span, format!("there is no stage named `{name}`"));
        let problem = match &near {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if outer.is_some() => {
                let meant =
                    outer.iter().map(|(near, port)| format!("{near}.{port}")).collect::<String>();
                problem.help(format!("did you mean `{meant}`?"))
            }
            None => problem.help(format!("the stages are {}", crate::suggest::list(known))),
        };
        let near = near.or(outer.map(|(near, _)| near));
        match near.and_then(|near| self.names.get(near.as_str()).copied()) {
            Some(meant) => self.take(meant),
            None => self.lost = true,
        }
        self.fail(index, problem);
    }

    /// Notes the stages whose output no one takes.
    fn unused(&mut self) {
        if self.lost {
            return;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let emits = matches!(self.role(index), Some(Role::Source | Role::Transform));
            // Two stages of one name: which is meant is not known.
            let meant = self.names.get(stage.name.as_str()) == Some(&index);
            if emits && meant && !self.taken.get(index).copied().unwrap_or(true) {
                self.problems.push(
                    Problem::at(
                        stage.mark,
                        format!("no stage takes what `{}` puts out", stage.name),
                    )
                    .help("add a sink behind it, such as `write`, or `discard` to keep nothing"),
                );
            }
        }
    }
}

/// Inputs first, otherwise as in the file.
fn order(inputs: &[Vec<Wire>]) -> Vec<usize> {
    let mut outputs: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    let mut waits: Vec<usize> = inputs.iter().map(Vec::len).collect();
    for (index, from) in inputs.iter().enumerate() {
        for wire in from {
            if let Some(outputs) = outputs.get_mut(wire.stage) {
                outputs.push(index);
            }
        }
    }
    let free = waits.iter().enumerate().filter(|(_, waits)| **waits == 0);
    let mut free: BinaryHeap<_> = free.map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(inputs.len());
    while let Some(Reverse(index)) = free.pop() {
        order.push(index);
        for next in outputs.get(index).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(*next) {
                *waits -= 1;
                if *waits == 0 {
                    free.push(Reverse(*next));
                }
            }
        }
    }
    order
}

/// Notes each circle once, by the stages along it.
fn circles(
    stages: &[Declared<'_>],
    inputs: &[Vec<Wire>],
    order: &[usize],
    problems: &mut Vec<Problem>,
) {
    const SHOWN: usize = 12;
    let ordered: HashSet<usize> = order.iter().copied().collect();
    let mut walked: HashMap<usize, usize> = HashMap::new();
    for start in (0..stages.len()).filter(|index| !ordered.contains(index)) {
        let mut path: Vec<(usize, Span)> = Vec::new();
        let mut at = start;
        // Whatever is left has an input that is left, so the walk ends where it was before.
        while !walked.contains_key(&at) {
            walked.insert(at, start);
            let mut from = inputs.get(at).into_iter().flatten();
            let Some(next) = from.find(|wire| !ordered.contains(&wire.stage)) else { break };
            path.push((at, next.span));
            at = next.stage;
        }
        let Some(begin) = path.iter().position(|(index, _)| *index == at) else { continue };
        if walked.get(&at) != Some(&start) {
            continue;
        }
        let Some(circle) = path.get(begin..) else { continue };
        let name = |index: usize| stages.get(index).map_or("", |stage| stage.name.as_str());
        let Some((first, span)) = circle.iter().min_by_key(|(index, _)| *index).copied() else {
            continue;
        };
        // The walk went against the flow.
        let mut names: Vec<&str> = circle.iter().rev().map(|(index, _)| name(*index)).collect();
        let turn = names.iter().position(|found| *found == name(first)).unwrap_or(0);
        names.rotate_left(turn);
        names.push(name(first));
        if names.len() > SHOWN {
            let last = names.split_off(names.len() - 2);
            names.truncate(SHOWN - 3);
            names.push("…");
            names.extend(last);
        }
        problems.push(
            Problem::at(span, format!("the stages form a circle: {}", names.join(" -> ")))
                .help("data flows one way: let one of them take its input from a stage outside the circle"),
        );
    }
}
