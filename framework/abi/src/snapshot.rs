//! Snapshots that cross: named batches, or one text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use gristmill_stage::{Error, Result, Snapshot, State};

use crate::batch::{export_batch, export_schema, import_any_schema, import_batch};
use crate::text::Text;
use crate::{ArrowArray, Restored, StateWriter, read_table};

/// The name of the part that one text is kept in, as [`Snapshot::of`] does.
const VALUE: &str = "value";

/// The state of one text.
///
/// # Errors
/// Arrow has none for one text.
pub fn value_state(version: u32, text: &str) -> Result<State> {
    let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let batch = RecordBatch::try_from_iter([(VALUE, column)])?;
    Ok(State { version, parts: vec![(VALUE.to_owned(), batch)] })
}

/// The text of a state that is one.
pub fn value_of(state: &State) -> Option<&str> {
    let [(name, batch)] = &state.parts[..] else { return None };
    let column = batch.columns().first()?.as_string_opt::<i32>()?;
    (name == VALUE && column.len() == 1 && column.is_valid(0)).then(|| column.value(0))
}

/// Hands a snapshot to the host.
///
/// # Safety
/// The writer must be one of a call that is going on.
///
/// # Errors
/// When a type in it has no name in the C Data Interface.
pub unsafe fn export_snapshot(snapshot: &Snapshot, writer: &StateWriter) -> Result<()> {
    let Snapshot::State(state) = snapshot else { return Ok(()) };
    // SAFETY: by the contract of this function.
    unsafe { (writer.version)(writer.handle, state.version) };
    for (name, rows) in &state.parts {
        let mut schema = export_schema(&rows.schema())?;
        let mut rows = export_batch(rows.clone());
        // SAFETY: both live until the call returns; what it has not taken is released here.
        unsafe {
            (writer.part)(writer.handle, Text::new(name), &raw mut schema, &raw mut rows);
        }
    }
    Ok(())
}

/// The snapshot that the host hands over.
///
/// # Safety
/// It must be one of a call that is going on, or null.
///
/// # Errors
/// When its batches are broken.
pub unsafe fn import_parts(restored: *const Restored) -> Result<Snapshot> {
    if restored.is_null() {
        return Ok(Snapshot::Stateless);
    }
    // SAFETY: by the contract of this function.
    let restored = unsafe { read_table(restored) };
    let restored = restored.map_err(|size| {
        Error::internal(format!("the host has handed over a snapshot of {size} bytes"))
    })?;
    let mut parts = Vec::with_capacity(restored.part_count);
    for index in 0..restored.part_count {
        // SAFETY: there are so many parts, and nobody else uses them during the call.
        let part = unsafe { &mut *restored.parts.add(index) };
        // SAFETY: the host hands over schemas and arrays by the C Data Interface.
        let batch = unsafe {
            let schema = import_any_schema(&part.schema)?;
            import_batch(ArrowArray::from_raw(&raw mut part.rows), &schema, false)?
        };
        // SAFETY: the text lives as long as the call.
        parts.push((unsafe { part.name.to_string_lossy() }, batch));
    }
    Ok(Snapshot::parts(restored.version, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_a_snapshot_of_one_value_has() {
        let state = value_state(3, "[1,2]").unwrap();
        assert_eq!(value_of(&state), Some("[1,2]"));
        let snapshot = Snapshot::State(state);
        assert_eq!(snapshot.value::<Vec<u8>>(3).unwrap(), Some(vec![1, 2]));
        let Snapshot::State(state) = Snapshot::of(1, &7).unwrap() else { panic!("no state") };
        assert_eq!(value_of(&state), Some("7"));
    }
}
