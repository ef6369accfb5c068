//! How many parts a batch of a schema has in the Arrow IPC format. A batch does not say of which schema it
//! is; one of another would be read as if it were of this one, and most have another number of parts.

use arrow_ipc::RecordBatch;
use arrow_schema::{DataType, Schema, UnionMode};

/// The numbers of parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    nodes: usize,
    buffers: usize,
    /// Columns of views, which have as many buffers more as each batch says.
    views: usize,
}

impl Shape {
    /// Of batches of this schema.
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut shape = Self::default();
        schema.fields().iter().for_each(|field| shape.add(field.data_type()));
        shape
    }

    /// Whether a batch has it.
    pub(crate) fn fits(&self, batch: &RecordBatch<'_>) -> bool {
        let variadic = batch.variadicBufferCounts();
        let more = variadic.into_iter().flatten().map(|count| usize::try_from(count).ok());
        let more = more.sum::<Option<usize>>().and_then(|more| more.checked_add(self.buffers));
        batch.nodes().map_or(0, |nodes| nodes.len()) == self.nodes
            && variadic.map_or(0, |counts| counts.len()) == self.views
            && Some(batch.buffers().map_or(0, |buffers| buffers.len())) == more
    }

    fn add(&mut self, data_type: &DataType) {
        self.nodes += 1;
        self.buffers += match data_type {
            DataType::Null | DataType::RunEndEncoded(..) => 0,
            DataType::FixedSizeList(..) | DataType::Struct(_) => 1,
            DataType::Union(_, UnionMode::Sparse) => 1,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
            DataType::ListView(_) | DataType::LargeListView(_) => 3,
            _ => 2,
        };
        match data_type {
            DataType::Utf8View | DataType::BinaryView => self.views += 1,
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => self.add(item.data_type()),
            DataType::Struct(fields) => fields.iter().for_each(|field| self.add(field.data_type())),
            DataType::Union(fields, _) => {
                fields.iter().for_each(|(_, field)| self.add(field.data_type()));
            }
            DataType::RunEndEncoded(ends, values) => {
                self.add(ends.data_type());
                self.add(values.data_type());
            }
            _ => {}
        }
    }
}
