//! Fewer columns: what a kind says of its lineage, taken at its word.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{Planned, Result};

use crate::conformance::dice::Dice;

/// Fewer columns of the output, and of the input what is then needed.
#[derive(Debug, Clone)]
pub(crate) struct Narrow {
    /// The columns that somebody wants.
    pub(crate) wanted: BTreeSet<String>,
}

impl Narrow {
    /// Some choices of what is wanted: nothing, each column alone, and some at random. None if the
    /// kind always needs and emits everything.
    pub(crate) fn choices(planned: &Planned, seeds: u64) -> Vec<Self> {
        let Some(lineage) = &planned.lineage else { return Vec::new() };
        let names = planned.output.fields().iter().map(|field| field.name());
        let optional: Vec<&String> = names.filter(|name| lineage.is_optional(name)).collect();
        let none = std::iter::once(BTreeSet::new());
        let alone = optional.iter().map(|name| BTreeSet::from([(*name).clone()]));
        let random = (0..seeds).map(|seed| {
            let mut dice = Dice::new(seed);
            optional.iter().filter(|_| dice.once_in(2)).map(|name| (*name).clone()).collect()
        });
        let choices: BTreeSet<BTreeSet<String>> = none.chain(alone).chain(random).collect();
        let choices = choices.into_iter().map(|wanted| Self { wanted });
        // A stage that emits columns is always asked for one of them.
        choices
            .filter(|narrow| {
                planned.output.fields().is_empty() || !narrow.output(planned).fields().is_empty()
            })
            .collect()
    }

    /// Whether a column of the output is there.
    pub(crate) fn shows(&self, planned: &Planned, column: &str) -> bool {
        let optional = planned.lineage.as_ref().is_some_and(|lineage| lineage.is_optional(column));
        !optional || self.wanted.contains(column)
    }

    /// The output with what is wanted.
    pub(crate) fn output(&self, planned: &Planned) -> SchemaRef {
        kept(&planned.output, |column| self.shows(planned, column))
    }

    /// The input with what is needed.
    pub(crate) fn input(&self, planned: &Planned, input: &SchemaRef) -> SchemaRef {
        let Some(lineage) = &planned.lineage else { return Arc::clone(input) };
        let needed = lineage.input_for(&self.wanted);
        kept(input, |column| needed.contains(column))
    }
}

/// The batch with the columns of this schema.
pub(crate) fn project(batch: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    let indices = schema.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
    Ok(batch.project(&indices.collect::<Result<Vec<_>, _>>()?)?)
}

fn kept(schema: &SchemaRef, keep: impl Fn(&str) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| keep(field.name())).cloned();
    let fields: Vec<_> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
