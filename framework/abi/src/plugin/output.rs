//! The host's output, as a stage in Rust sees it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use gristmill_stage::arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{Cause, Error, Output as Outlet, Result};

use crate::batch::{export_batch, export_schema};
use crate::failure::FailureBuffer;
use crate::plain::{plain_batch, plain_schema};
use crate::text::Text;
use crate::{OK, Output};

/// The output of one call.
pub(super) struct HostOutput<'a> {
    /// The host's table.
    pub(super) table: &'a Output,
    /// The planned schema.
    pub(super) output: &'a SchemaRef,
    /// The schema of the input.
    pub(super) input: &'a SchemaRef,
    /// Where the host says what is wrong.
    pub(super) failure: &'a mut FailureBuffer,
}

impl HostOutput<'_> {
    /// The batch with the types of the plan, by which the host reads it.
    fn as_planned(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if Arc::ptr_eq(batch.schema_ref(), self.output) || same(batch.schema_ref(), self.output) {
            return Ok(batch);
        }
        if let Some(plain) = plain_schema(batch.schema_ref())?
            && same(&plain, self.output)
        {
            return plain_batch(&batch, &plain);
        }
        let names = |schema: &Schema| {
            let columns = schema.fields().iter();
            let columns = columns.map(|field| format!("{}: {}", field.name(), field.data_type()));
            columns.collect::<Vec<_>>().join(", ")
        };
        Err(Error::internal(format!(
            "the stage emitted columns [{}], but its plan says [{}]",
            names(batch.schema_ref()),
            names(self.output)
        )))
    }

    fn outcome(&self, code: i32) -> Result<()> {
        if code == OK { Ok(()) } else { Err(self.failure.error()) }
    }
}

/// Whether columns have the same names and types.
fn same(batch: &Schema, planned: &Schema) -> bool {
    let (batch, planned) = (batch.fields(), planned.fields());
    let alike = |(a, b): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(a, b) || alike(a, b);
    fn alike(
        a: &gristmill_stage::arrow_schema::Field,
        b: &gristmill_stage::arrow_schema::Field,
    ) -> bool {
        a.name() == b.name() && a.data_type() == b.data_type()
    }
    batch.len() == planned.len() && batch.iter().zip(planned).all(alike)
}

impl Outlet for HostOutput<'_> {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.emit_to(0, batch)
    }

    fn emit_to(&mut self, port: usize, batch: RecordBatch) -> Result<()> {
        let mut array = export_batch(self.as_planned(batch)?);
        let port = u32::try_from(port).unwrap_or(u32::MAX);
        let failure = self.failure.ready();
        let Output { handle, emit, .. } = self.table;
        // SAFETY: the call of the host is going on, and what it is given lives until this returns.
        let code = unsafe { emit(*handle, port, &raw mut array, failure) };
        self.outcome(code)
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.reject_as(rows, Cause::default(), reason)
    }

    fn reject_as(&mut self, rows: RecordBatch, cause: Cause, reason: &str) -> Result<()> {
        let own = Arc::ptr_eq(rows.schema_ref(), self.input) || rows.schema_ref() == self.input;
        let rows = match plain_schema(rows.schema_ref())? {
            Some(plain) => plain_batch(&rows, &plain)?,
            None => rows,
        };
        let mut schema = match own {
            true => None,
            false => Some(export_schema(rows.schema_ref())?),
        };
        let mut rows = export_batch(rows);
        let schema = schema.as_mut().map_or(std::ptr::null_mut(), |schema| &raw mut *schema);
        let failure = self.failure.ready();
        let (Output { handle, reject, reject_as, .. }, reason) = (self.table, Text::new(reason));
        let rows = &raw mut rows;
        // SAFETY: as above.
        let code = unsafe {
            match reject_as {
                Some(reject_as) => reject_as(*handle, rows, schema, cause as i32, reason, failure),
                // A host of 1.0 knows no classes.
                None => reject(*handle, rows, schema, reason, failure),
            }
        };
        self.outcome(code)
    }
}
