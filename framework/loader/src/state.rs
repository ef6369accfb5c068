//! Snapshots: what a plugin writes, and what it is given to go on from.

use std::ffi::c_void;

use gristmill_abi::{
    ArrowArray, ArrowSchema, Part, Restored, StateWriter, Text, export_batch, export_schema,
    import_any_schema, import_batch, value_of, value_state,
};
use gristmill_stage::arrow_array::Array;
use gristmill_stage::{Error, Result, Snapshot, State};

use crate::bounds;
use crate::guard::guarded;

/// Takes a snapshot.
#[derive(Default)]
pub(crate) struct StateTaker {
    state: Option<State>,
    wrong: Option<Error>,
}

impl StateTaker {
    /// What the plugin writes by. Serves one call.
    pub(crate) fn table(&mut self) -> StateWriter {
        let handle = (&raw mut *self).cast();
        StateWriter { struct_size: size_of::<StateWriter>(), handle, version, part, value }
    }

    pub(crate) fn snapshot(self) -> Result<Snapshot> {
        match (self.wrong, self.state) {
            (Some(error), _) => Err(error),
            (None, Some(state)) => Ok(Snapshot::State(state)),
            (None, None) => Ok(Snapshot::Stateless),
        }
    }

    unsafe fn act(handle: *mut c_void, act: impl FnOnce(&mut Self) -> Result<()>) {
        // SAFETY: the handle is that of a table of this call, and nobody else uses it meanwhile.
        let taker = unsafe { &mut *handle.cast::<Self>() };
        if let Err(error) = guarded(|| act(taker)) {
            taker.wrong.get_or_insert(error);
        }
    }

    fn state(&mut self) -> &mut State {
        self.state.get_or_insert_with(|| State { version: 0, parts: Vec::new() })
    }
}

unsafe extern "C" fn version(handle: *mut c_void, version: u32) {
    let act = |taker: &mut StateTaker| {
        taker.state().version = version;
        Ok(())
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { StateTaker::act(handle, act) }
}

unsafe extern "C" fn part(
    handle: *mut c_void,
    name: Text,
    schema: *mut ArrowSchema,
    rows: *mut ArrowArray,
) {
    let act = |taker: &mut StateTaker| {
        // SAFETY: the plugin gives both away, by the C Data Interface, also if one is missing.
        let (schema, rows) = unsafe {
            (
                (!schema.is_null()).then(|| ArrowSchema::from_raw(schema)),
                (!rows.is_null()).then(|| ArrowArray::from_raw(rows)),
            )
        };
        let Some((schema, rows)) = schema.zip(rows) else {
            return Err(Error::internal("the plugin keeps a part of its state that is missing"));
        };
        // SAFETY: as above; the name is lent.
        let (name, batch) = unsafe {
            (
                bounds::name(name, "a name of a part")?,
                import_batch(rows, &import_any_schema(&schema)?, true)?,
            )
        };
        // It is written and read again, maybe much later; there is time to look at every row.
        for column in batch.columns() {
            column.to_data().validate_full()?;
        }
        taker.state().parts.push((name, batch));
        Ok(())
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { StateTaker::act(handle, act) }
}

unsafe extern "C" fn value(handle: *mut c_void, version: u32, value: Text) {
    let act = |taker: &mut StateTaker| {
        // SAFETY: the text lives as long as the call.
        let value = unsafe { bounds::data(value, "a value to keep") }?;
        match taker.state.replace(value_state(version, &value)?) {
            None => Ok(()),
            Some(_) => Err(Error::internal("the plugin keeps a value besides other state")),
        }
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { StateTaker::act(handle, act) }
}

/// A snapshot in the form that a plugin takes.
pub(crate) struct RestoredTable {
    // Both are pointed to by the table, and do not move.
    _state: Box<State>,
    _parts: Box<[Part]>,
    table: Restored,
}

impl RestoredTable {
    /// The table of a snapshot; none without a state.
    pub(crate) fn new(snapshot: &Snapshot) -> Result<Option<Self>> {
        let Snapshot::State(state) = snapshot else { return Ok(None) };
        let state = Box::new(state.clone());
        let part = |(name, rows): &(String, _)| {
            let rows: &gristmill_stage::arrow_array::RecordBatch = rows;
            Ok(Part {
                name: Text::new(name),
                schema: export_schema(rows.schema_ref())?,
                rows: export_batch(rows.clone()),
            })
        };
        let mut parts = state.parts.iter().map(part).collect::<Result<Box<[_]>>>()?;
        let value = value_of(&state);
        let table = Restored {
            struct_size: size_of::<Restored>(),
            version: state.version,
            has_value: i32::from(value.is_some()),
            value: Text::new(value.unwrap_or_default()),
            parts: parts.as_mut_ptr(),
            part_count: parts.len(),
        };
        Ok(Some(Self { _state: state, _parts: parts, table }))
    }

    pub(crate) fn table(&self) -> *const Restored {
        &raw const self.table
    }
}
