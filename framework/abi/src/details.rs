//! What a kind plans besides its columns, as JSON.

use std::path::PathBuf;

use gristmill_stage::{Comparison, Lineage, Partitioning, Planned, Steps};
use serde::{Deserialize, Serialize};

/// What a kind plans besides its columns. Keys that are left out mean what they mean in
/// [`Planned`]; keys that are unknown are passed over, so that a later minor can add some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// See [`Planned::ports`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Rows that are equal in these columns must meet in one worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyed: Option<Vec<String>>,
    /// Why there can be only one worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<String>,
    /// See [`Planned::reads`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<PathBuf>,
    /// See [`Planned::writes`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<PathBuf>,
    /// See [`Planned::holds`].
    pub holds: u64,
    /// See [`Planned::blocks`].
    pub blocks: bool,
    /// See [`Planned::once`].
    pub once: bool,
    /// See [`Planned::lineage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// See [`Planned::passes_only`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passes_only: Vec<Comparison>,
    /// See [`Planned::takes_hints`].
    pub takes_hints: bool,
    /// See [`Planned::steps`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// See [`Planned::notes`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Details {
    /// What a plan says besides its columns.
    pub fn of(planned: Planned) -> Self {
        let (keyed, single) = match planned.partitioning {
            Partitioning::Any => (None, None),
            Partitioning::Keyed(columns) => (Some(columns), None),
            Partitioning::Single(why) => (None, Some(why)),
        };
        Self {
            ports: planned.ports,
            keyed,
            single,
            reads: planned.reads,
            writes: planned.writes,
            holds: planned.holds,
            blocks: planned.blocks,
            once: planned.once,
            lineage: planned.lineage,
            passes_only: planned.passes_only,
            takes_hints: planned.takes_hints,
            steps: planned.steps,
            notes: planned.notes,
        }
    }

    /// Puts it into a plan.
    #[must_use]
    pub fn into_planned(self, planned: Planned) -> Planned {
        let partitioning = match (self.single, self.keyed) {
            (Some(why), _) => Partitioning::Single(why),
            (None, Some(columns)) => Partitioning::Keyed(columns),
            (None, None) => Partitioning::Any,
        };
        Planned {
            output: planned.output,
            ports: self.ports,
            partitioning,
            reads: self.reads,
            writes: self.writes,
            holds: self.holds,
            blocks: self.blocks,
            once: self.once,
            lineage: self.lineage,
            passes_only: self.passes_only,
            takes_hints: self.takes_hints,
            steps: self.steps,
            notes: self.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_stage::arrow_schema::{DataType, Field, Schema};
    use gristmill_stage::{Constant, Relation, Test};

    use super::*;

    #[test]
    fn a_plan_comes_out_as_it_went_in() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let comparison = Comparison {
            column: "a".to_owned(),
            test: Test::Is(Relation::Less, Constant::Integer(3)),
        };
        let planned = Planned::emits(schema.clone())
            .ports(["left", "right"])
            .keyed(["a"])
            .reads("in.csv")
            .writes("out.csv")
            .holds(7)
            .blocks()
            .once()
            .takes_hints()
            .in_steps(Steps {
                first: [("step".to_owned(), 1.into())].into_iter().collect(),
                second: Default::default(),
            })
            .lineage(Lineage::carries(&schema, ["a"]).makes("b", ["a"]).row_by_row())
            .passes_only([comparison])
            .note("a line");
        for planned in [planned.clone(), planned.single("of its file"), Planned::emits(schema)] {
            let shown = format!("{planned:?}");
            let output = planned.output.clone();
            let json = serde_json::to_string(&Details::of(planned)).unwrap();
            let details: Details = serde_json::from_str(&json).unwrap();
            let back = details.into_planned(Planned::emits(output));
            assert_eq!(format!("{back:?}"), shown, "{json}");
        }
    }

    #[test]
    fn keys_of_a_later_minor_are_passed_over() {
        let details: Details = serde_json::from_str(r#"{"single": "a", "later": 5}"#).unwrap();
        assert_eq!(details, Details { single: Some("a".to_owned()), ..Details::default() });
    }
}
