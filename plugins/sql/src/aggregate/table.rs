//! The groups that have been seen, each under a number in the order of first appearance.
//!
//! Each key column gives its values numbers, and a group is a tuple of those: so a batch is worked
//! off column by column, in loops that know their type.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::DataType;
use gristmill_stage::{Error, Result};

use super::keys::{KeyColumn, Pairs, too_many};

/// Keys to numbers. Without key columns there is one group, once a row has come.
pub(crate) struct GroupTable {
    columns: Vec<KeyColumn>,
    /// What makes one number of those of the columns so far and of the next: one less than columns.
    pairs: Vec<Pairs>,
    /// Whether a row has come.
    begun: bool,
    max_groups: usize,
    /// The numbers of the batch in hand; kept for their memory.
    left: Vec<u32>,
    right: Vec<u32>,
}

impl GroupTable {
    /// A table for keys of these types.
    pub(crate) fn new(types: &[DataType], max_groups: usize) -> Result<Self> {
        let columns = types.iter().map(KeyColumn::new).collect::<Result<Vec<_>>>()?;
        let pairs = columns.iter().skip(1).map(|_| Pairs::new()).collect();
        Ok(Self { columns, pairs, begun: false, max_groups, left: Vec::new(), right: Vec::new() })
    }

    /// Whether rows can be grouped by a type.
    pub(crate) fn supports(data_type: &DataType) -> bool {
        KeyColumn::supports(data_type)
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        match (self.pairs.last(), self.columns.first()) {
            (Some(pairs), _) => pairs.len(),
            (None, Some(column)) => column.len(),
            (None, None) => usize::from(self.begun),
        }
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        let columns = self.columns.iter().map(KeyColumn::size);
        columns.chain(self.pairs.iter().map(Pairs::size)).sum()
    }

    /// Writes the number of each row's group to `numbers`, making groups as they appear.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](gristmill_stage::ErrorKind::Data) when there would be more groups than
    /// the table may hold.
    pub(crate) fn find(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        numbers: &mut Vec<usize>,
    ) -> Result<()> {
        numbers.clear();
        self.begun |= rows > 0;
        let Self { columns: keys, pairs, max_groups, left, right, .. } = self;
        let Some((first, others)) = keys.split_first_mut() else {
            numbers.resize(rows, 0);
            return Ok(());
        };
        first.find(&columns[0], *max_groups, left)?;
        let mut lefts = first.len();
        for ((key, column), pairs) in others.iter_mut().zip(&columns[1..]).zip(pairs) {
            key.find(column, *max_groups, right)?;
            if !pairs.find((left, lefts), (right, key.len()), *max_groups) {
                return Err(too_many(*max_groups));
            }
            lefts = pairs.len();
        }
        numbers.extend(left.iter().map(|number| *number as usize));
        Ok(())
    }

    /// The keys of all groups, a column per key.
    pub(crate) fn keys(&self) -> Result<Vec<ArrayRef>> {
        let Some((first, others)) = self.columns.split_first() else {
            return Ok(Vec::new());
        };
        if others.is_empty() {
            return Ok(vec![first.values()?]);
        }
        let groups = u32::try_from(self.len());
        let groups = groups.map_err(|_| Error::internal("more groups than numbers"))?;
        let mut numbers: Vec<u32> = (0..groups).collect();
        let mut keys = Vec::new();
        for (column, pairs) in others.iter().zip(&self.pairs).rev() {
            let members = pairs.members();
            keys.push(taken(column, numbers.iter().map(|number| members[*number as usize].1))?);
            numbers.iter_mut().for_each(|number| *number = members[*number as usize].0);
        }
        keys.push(taken(first, numbers.into_iter())?);
        keys.reverse();
        Ok(keys)
    }
}

/// The values that have these numbers.
fn taken(column: &KeyColumn, numbers: impl Iterator<Item = u32>) -> Result<ArrayRef> {
    let numbers = UInt32Array::from_iter_values(numbers);
    Ok(arrow_select::take::take(&column.values()?, &numbers, None)?)
}
