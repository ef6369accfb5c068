//! The groups that have been seen, each under a number in the order of first appearance.

use std::hash::BuildHasher;

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use gristmill_stage::keys::canonical;
use gristmill_stage::{Error, Result};
use hashbrown::{DefaultHashBuilder, HashTable};

/// Keys to numbers. Without key columns there is one group, once a row has come.
pub(crate) struct GroupTable {
    /// `None` when there are no key columns.
    keys: Option<Keys>,
    /// Whether a row has come.
    begun: bool,
    max_groups: usize,
}

struct Keys {
    converter: RowConverter,
    /// The key of every group, at the number of the group.
    groups: Rows,
    /// The keys of the batch in hand; kept for its memory.
    batch: Rows,
    /// Hash and number of every group.
    numbers: HashTable<(u64, usize)>,
    hasher: DefaultHashBuilder,
}

impl GroupTable {
    /// A table for keys of these types.
    pub(crate) fn new(types: &[DataType], max_groups: usize) -> Result<Self> {
        if types.is_empty() {
            return Ok(Self { keys: None, begun: false, max_groups });
        }
        let fields = types.iter().cloned().map(SortField::new).collect();
        let converter = RowConverter::new(fields)?;
        let keys = Keys {
            groups: converter.empty_rows(0, 0),
            batch: converter.empty_rows(0, 0),
            converter,
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        };
        Ok(Self { keys: Some(keys), begun: false, max_groups })
    }

    /// Whether rows can be grouped by a type.
    pub(crate) fn supports(data_type: &DataType) -> bool {
        RowConverter::supports_fields(&[SortField::new(data_type.clone())])
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.as_ref().map_or(usize::from(self.begun), |keys| keys.groups.num_rows())
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
        match &mut self.keys {
            None => numbers.resize(rows, 0),
            Some(keys) => keys.find(columns, self.max_groups, numbers)?,
        }
        Ok(())
    }

    /// The keys of all groups, a column per key.
    pub(crate) fn keys(&self) -> Result<Vec<ArrayRef>> {
        match &self.keys {
            None => Ok(Vec::new()),
            Some(keys) => Ok(keys.converter.convert_rows(&keys.groups)?),
        }
    }
}

impl Keys {
    fn find(
        &mut self,
        columns: &[ArrayRef],
        max_groups: usize,
        numbers: &mut Vec<usize>,
    ) -> Result<()> {
        let columns = columns.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        self.batch.clear();
        self.converter.append(&mut self.batch, &columns)?;
        let Self { groups, batch, numbers: known, hasher, .. } = self;
        for row in batch.iter() {
            let hash = hasher.hash_one(row.data());
            let found = known
                .find(hash, |(other, number)| *other == hash && groups.row(*number) == row)
                .map(|(_, number)| *number);
            let number = match found {
                Some(number) => number,
                None if groups.num_rows() >= max_groups => return Err(too_many(max_groups)),
                None => {
                    let number = groups.num_rows();
                    groups.push(row);
                    known.insert_unique(hash, (hash, number), |(hash, _)| *hash);
                    number
                }
            };
            numbers.push(number);
        }
        Ok(())
    }
}

fn too_many(max_groups: usize) -> Error {
    Error::data(format!("there are more than {max_groups} groups"))
        .help("group by fewer or coarser columns, use several workers, or raise `max_groups`")
}
