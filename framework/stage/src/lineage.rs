//! Which columns of its input a stage needs, and for which of the columns that it emits.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::Comparison;

/// What a stage needs of its input, depending on what is wanted of its output.
///
/// A kind that says it in its [`Planned`](crate::Planned) may be given an input with fewer columns
/// than it was planned with, and may have to emit fewer: those that are needed and wanted, in the
/// same order. `build` finds them in [`BuildContext::input`](crate::BuildContext::input) and
/// [`BuildContext::output`](crate::BuildContext::output), and does not complain of those that are
/// missing. The rows are the same as ever. A kind that says nothing gets and emits all columns.
///
/// ```
/// use gristmill_stage::Lineage;
///
/// // Reads `price`, hands on `name`, and makes `total` if anybody wants it.
/// let lineage =
///     Lineage::new().needs(["price"]).passes("name").makes("total", ["price", "amount"]);
/// let wanted = ["name".to_owned()].into();
/// assert_eq!(lineage.input_for(&wanted), ["name".to_owned(), "price".to_owned()].into());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lineage {
    needs: BTreeSet<String>,
    optional: BTreeMap<String, Origin>,
    row_by_row: bool,
    carries: bool,
}

/// Where a column comes from that can be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    from: BTreeSet<String>,
    unchanged: bool,
}

impl Lineage {
    /// Needs no column, and emits all of its own in any case.
    pub fn new() -> Self {
        Self::default()
    }

    /// Emits the columns of its input as they are. It needs those that are named, and hands on whatever
    /// comes in: it leaves none out, also where another stage wants one that nobody behind it does.
    pub fn carries<S: Into<String>>(input: &Schema, needs: impl IntoIterator<Item = S>) -> Self {
        let lineage = Self { carries: true, ..Self::new() }.needs(needs);
        let names = input.fields().iter().map(|field| field.name());
        let others: Vec<&String> = names.filter(|name| !lineage.needs.contains(*name)).collect();
        others.into_iter().fold(lineage, Self::passes)
    }

    /// Needs these input columns whatever is wanted of it.
    #[must_use]
    pub fn needs<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.needs.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Hands on an input column as it is, under the same name, if it is wanted.
    #[must_use]
    pub fn passes(mut self, column: impl Into<String>) -> Self {
        let column = column.into();
        let from = BTreeSet::from([column.clone()]);
        self.optional.insert(column, Origin { from, unchanged: true });
        self
    }

    /// Makes an output column from these input columns, if it is wanted; from none in a source.
    /// Leaving it out must not change which rows are emitted and which are rejected, those apart that
    /// a source would reject for a value of this very column.
    #[must_use]
    pub fn makes<S: Into<String>>(
        mut self,
        column: impl Into<String>,
        from: impl IntoIterator<Item = S>,
    ) -> Self {
        let from = from.into_iter().map(Into::into).collect();
        self.optional.insert(column.into(), Origin { from, unchanged: false });
        self
    }

    /// Every row stands for itself: whether it comes out, and how, depends on nothing else, none is
    /// ever rejected, and nobody sees it who is not behind this stage. A row that will not be wanted
    /// further on can then be left out before.
    #[must_use]
    pub fn row_by_row(mut self) -> Self {
        self.row_by_row = true;
        self
    }

    /// Whether every row [stands for itself](Self::row_by_row).
    pub fn is_row_by_row(&self) -> bool {
        self.row_by_row
    }

    /// Whether it hands on [all that comes in](Self::carries).
    pub fn is_carrying(&self) -> bool {
        self.carries
    }

    /// The input columns that are needed when these output columns are wanted.
    pub fn input_for(&self, wanted: &BTreeSet<String>) -> BTreeSet<String> {
        let origins = wanted.iter().filter_map(|column| self.optional.get(column));
        let from = origins.flat_map(|origin| &origin.from);
        self.needs.iter().chain(from).cloned().collect()
    }

    /// Whether an output column is there only if it is wanted.
    pub fn is_optional(&self, column: &str) -> bool {
        self.optional.contains_key(column)
    }

    /// What a comparison of an output column says of the input, if it says the same of it.
    pub fn before(&self, comparison: &Comparison) -> Option<Comparison> {
        let origin = self.optional.get(&comparison.column).filter(|origin| origin.unchanged)?;
        let column = origin.from.first()?.clone();
        Some(Comparison { column, ..comparison.clone() })
    }
}
