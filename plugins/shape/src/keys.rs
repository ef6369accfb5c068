//! Columns by which rows are compared, as bytes that compare in the same way.

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, Schema, SortOptions};
use gristmill_stage::keys::canonical;
use gristmill_stage::{Error, Result};

/// Makes a key of each row: equal keys for equal values, in the order of the values.
pub(crate) struct Keys {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl Keys {
    /// Keys of these columns of the schema, each with its order.
    pub(crate) fn new(schema: &Schema, columns: &[(usize, SortOptions)]) -> Result<Self> {
        let field = |(index, options): &(usize, SortOptions)| {
            SortField::new_with_options(schema.field(*index).data_type().clone(), *options)
        };
        let converter = RowConverter::new(columns.iter().map(field).collect())?;
        Ok(Self { columns: columns.iter().map(|(index, _)| *index).collect(), converter })
    }

    /// Keys by which rows are only told apart.
    pub(crate) fn equal(schema: &Schema, columns: &[usize]) -> Result<Self> {
        let columns: Vec<_> =
            columns.iter().map(|index| (*index, SortOptions::default())).collect();
        Self::new(schema, &columns)
    }

    /// The key of every row.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns = self.columns.iter().map(|index| canonical(batch.column(*index)));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(self.converter.convert_columns(&columns)?)
    }

    /// What turns columns into keys and back.
    pub(crate) fn converter(&self) -> &RowConverter {
        &self.converter
    }
}

/// Where the column is that the option at `path` names.
///
/// # Errors
/// When there is none, or rows cannot be compared by its type.
pub(crate) fn find(schema: &Schema, name: &str, path: &str) -> Result<usize> {
    let missing = || Error::column(name, format!("there is no column `{name}`")).at(path);
    let index = schema.index_of(name).map_err(|_| missing())?;
    comparable(name, schema.field(index).data_type(), path)?;
    Ok(index)
}

/// Where the columns are that the options at `path` name.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_all(schema: &Schema, names: &[String], path: &str) -> Result<Vec<usize>> {
    let found = names.iter().enumerate();
    found.map(|(n, name)| find(schema, name, &format!("{path}[{n}]"))).collect()
}

/// That rows can be compared by a type.
pub(crate) fn comparable(name: &str, data_type: &DataType, path: &str) -> Result<()> {
    match RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
        true => Ok(()),
        false => {
            let text = format!("rows cannot be compared by `{name}`, which is {data_type}");
            Err(Error::option(path, text).help("name a column of numbers, texts or times"))
        }
    }
}
