//! From the sinks back to the sources: which columns are used, and which rows can matter.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Schema, SchemaRef};
use gristmill_stage::{Comparison, Planned};

use crate::check::Checked;
use crate::graph::Graph;
use crate::plan::Distribution;

type Names = BTreeSet<String>;

/// Leaves out the columns that no stage uses, where the stages between can do without them. The
/// stages were checked with all columns, so that no message depends on who uses what.
pub(crate) fn narrow(graph: &Graph, checked: &mut [Option<Checked>]) {
    let mut groups = Groups::new(graph, checked);
    groups.settle(graph, checked);
    // Where nobody wants any column, rows still have to be counted: the cheapest stands for all.
    for index in graph.order.iter().copied() {
        let Some(Some(stage)) = checked.get(index) else { continue };
        let group = groups.behind(index);
        if groups.wanted[group].is_empty()
            && let Some(name) = cheapest(&stage.planned.output)
        {
            groups.wanted[group].insert(name);
            groups.settle(graph, checked);
        }
    }
    for (index, stage) in checked.iter_mut().enumerate() {
        let Some(stage) = stage else { continue };
        stage.input = kept(&stage.input, &groups.wanted[groups.before(index)]);
        let output = kept(&stage.planned.output, &groups.wanted[groups.behind(index)]);
        stage.offered = std::mem::replace(&mut stage.planned.output, output);
    }
}

/// The columns on each edge. What one stage emits goes to all that take from it, and a stage has the
/// same columns from all inputs: edges that meet in a stage have the same columns.
struct Groups {
    /// The group of what comes into each stage, and after those the group of what goes out of each.
    group: Vec<usize>,
    stages: usize,
    /// What is wanted in each group.
    wanted: Vec<Names>,
}

impl Groups {
    fn new(graph: &Graph, checked: &[Option<Checked>]) -> Self {
        let stages = checked.len();
        let mut groups = Self {
            group: (0..2 * stages).collect(),
            stages,
            wanted: vec![Names::new(); 2 * stages],
        };
        for (index, inputs) in graph.inputs.iter().enumerate() {
            for wire in inputs {
                let (from, to) = (groups.behind(wire.stage), groups.before(index));
                groups.group.iter_mut().filter(|group| **group == from).for_each(|g| *g = to);
            }
        }
        for (index, stage) in checked.iter().enumerate() {
            let Some(stage) = stage else { continue };
            let (before, behind) = (groups.before(index), groups.behind(index));
            groups.wanted[before].extend(needed(stage));
            groups.wanted[behind].extend(fixed(&stage.planned));
        }
        groups
    }

    fn before(&self, stage: usize) -> usize {
        self.group[stage]
    }

    fn behind(&self, stage: usize) -> usize {
        self.group[self.stages + stage]
    }

    /// Carries what is wanted of each stage to its input, and what comes into a stage that leaves nothing
    /// out to its output, until nothing is added any more.
    fn settle(&mut self, graph: &Graph, checked: &[Option<Checked>]) {
        let size = |groups: &Self| groups.wanted.iter().map(Names::len).sum::<usize>();
        loop {
            let before = size(self);
            for index in graph.order.iter().rev().copied() {
                let stage = checked.get(index).and_then(Option::as_ref);
                let lineage = stage.and_then(|stage| stage.planned.lineage.as_ref());
                let Some(lineage) = lineage else { continue };
                let (before, behind) = (self.before(index), self.behind(index));
                let input = lineage.input_for(&self.wanted[behind]);
                self.wanted[before].extend(input);
                if lineage.is_carrying() {
                    let optional = |column: &&String| lineage.is_optional(column);
                    let through = self.wanted[before].iter().filter(optional).cloned();
                    let through: Vec<_> = through.collect();
                    self.wanted[behind].extend(through);
                }
            }
            if size(self) == before {
                return;
            }
        }
    }
}

/// The input columns that a stage needs whatever is wanted of it.
fn needed(stage: &Checked) -> Names {
    let mut needed = match &stage.planned.lineage {
        Some(lineage) if distinct(&stage.input) => lineage.input_for(&Names::new()),
        _ => names(&stage.input),
    };
    if let Some(run) = &stage.run
        && let Distribution::Hash(columns) = &run.distribution
    {
        needed.extend(columns.iter().cloned());
    }
    needed
}

/// The output columns that it emits whatever is wanted of it.
fn fixed(planned: &Planned) -> Names {
    match &planned.lineage {
        Some(lineage) if distinct(&planned.output) => {
            let columns = names(&planned.output).into_iter();
            columns.filter(|column| !lineage.is_optional(column)).collect()
        }
        _ => names(&planned.output),
    }
}

fn names(schema: &Schema) -> Names {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// Whether its columns can be told apart by their names.
fn distinct(schema: &Schema) -> bool {
    names(schema).len() == schema.fields().len()
}

/// The column that costs least to read.
fn cheapest(schema: &Schema) -> Option<String> {
    let cost = |data_type: &DataType| match data_type {
        DataType::Null | DataType::Boolean => 1,
        other => other.primitive_width().unwrap_or(if other.is_nested() { 256 } else { 64 }),
    };
    let cheapest = schema.fields().iter().min_by_key(|field| cost(field.data_type()))?;
    Some(cheapest.name().clone())
}

/// The schema with these columns only.
fn kept(schema: &SchemaRef, wanted: &Names) -> SchemaRef {
    if schema.fields().iter().all(|field| wanted.contains(field.name())) {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().filter(|field| wanted.contains(field.name()));
    let fields: Vec<_> = fields.cloned().collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Tells each stage that can use it which rows of its own make no difference further on.
pub(crate) fn hint(graph: &Graph, checked: &mut [Option<Checked>]) {
    let mut takers: Vec<Vec<usize>> = vec![Vec::new(); checked.len()];
    for (index, inputs) in graph.inputs.iter().enumerate() {
        for wire in inputs {
            if let Some(takers) = takers.get_mut(wire.stage) {
                takers.push(index);
            }
        }
    }
    // Of each stage, what is asked of the rows that come into it.
    let mut asked: Vec<Vec<Comparison>> = vec![Vec::new(); checked.len()];
    for index in graph.order.iter().rev().copied() {
        // With several takers, a row that one of them drops may be kept by another.
        let behind = match takers.get(index).map(Vec::as_slice) {
            Some([taker]) => asked.get(*taker).cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let Some(Some(stage)) = checked.get_mut(index) else { continue };
        let mut own = stage.planned.passes_only.clone();
        let lineage = stage.planned.lineage.as_ref().filter(|lineage| lineage.is_row_by_row());
        if let Some(lineage) = lineage {
            own.extend(behind.iter().filter_map(|comparison| lineage.before(comparison)));
        }
        own.dedup();
        if let Some(slot) = asked.get_mut(index) {
            *slot = own;
        }
        if stage.planned.takes_hints {
            stage.hints = behind;
        }
    }
}
