//! Takes what a kind of a plugin plans.

use std::ffi::c_void;
use std::sync::Arc;

use gristmill_abi::{ArrowSchema, Details, Plan, Text, import_schema, plain_schema};
use gristmill_stage::arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use gristmill_stage::{Error, Planned, Result, Role};

use crate::bounds;
use crate::guard::guarded;

/// What was planned so far.
pub(crate) struct Planner {
    role: Role,
    input: Option<SchemaRef>,
    fields: Vec<FieldRef>,
    /// Metadata of a schema that was handed over whole.
    metadata: std::collections::HashMap<String, String>,
    details: Option<Details>,
    /// The first thing that was wrong.
    wrong: Option<Error>,
}

impl Planner {
    pub(crate) fn new(role: Role, input: Option<SchemaRef>) -> Self {
        let (fields, metadata) = (Vec::new(), std::collections::HashMap::new());
        Self { role, input, fields, metadata, details: None, wrong: None }
    }

    /// What the plugin plans by. Serves one call.
    pub(crate) fn table(&mut self) -> Plan {
        Plan {
            struct_size: size_of::<Plan>(),
            handle: (&raw mut *self).cast(),
            keep_input,
            column,
            schema,
            details,
        }
    }

    /// The plan.
    pub(crate) fn planned(self) -> Result<Planned> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let details = self.details.unwrap_or_default();
        if self.role == Role::Sink {
            if let Some(field) = self.fields.first() {
                let text = format!("the plugin is a sink, but plans the column `{}`", field.name());
                return Err(Error::internal(text));
            }
            return Ok(details.into_planned(Planned::sink()));
        }
        for (index, field) in self.fields.iter().enumerate() {
            bounds::name_of(field.name(), "a name of a column")?;
            if self.fields[..index].iter().any(|other| other.name() == field.name()) {
                let text = format!("the plugin plans the column `{}` twice", field.name());
                return Err(Error::internal(text));
            }
        }
        let output = Schema::new_with_metadata(self.fields, self.metadata);
        if plain_schema(&output)?.is_some() {
            return Err(Error::internal("the plugin plans columns of views, which do not cross"));
        }
        Ok(details.into_planned(Planned::emits(output)))
    }

    /// The planner behind a handle.
    unsafe fn act(handle: *mut c_void, act: impl FnOnce(&mut Self) -> Result<()>) {
        // SAFETY: the handle is that of a table of this call, and nobody else uses it meanwhile.
        let planner = unsafe { &mut *handle.cast::<Self>() };
        if let Err(error) = guarded(|| act(planner)) {
            planner.wrong.get_or_insert(error);
        }
    }
}

unsafe extern "C" fn keep_input(handle: *mut c_void) {
    let act = |planner: &mut Planner| {
        let Some(input) = &planner.input else {
            return Err(Error::internal("the plugin is a source, and plans to keep its input"));
        };
        planner.fields.extend(input.fields().iter().cloned());
        Ok(())
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Planner::act(handle, act) }
}

unsafe extern "C" fn column(handle: *mut c_void, name: Text, format: Text, nullable: i32) {
    let act = |planner: &mut Planner| {
        // SAFETY: the texts live as long as the call.
        let (name, format) =
            unsafe { (bounds::name(name, "a name of a column")?, bounds::name(format, "a type")?) };
        let wrong = |e| {
            Error::internal(format!(
                "the plugin plans the column `{name}` with the type `{}`: {e}",
                format.escape_debug()
            ))
        };
        if format.starts_with('+') || format.contains('\0') {
            let what = if format.contains('\0') { "has a zero byte" } else { "has columns inside" };
            let text = format!(
                "the plugin plans the column `{name}` with the type `{}`, which {what}",
                format.escape_debug()
            );
            return Err(Error::internal(text).help("plan such columns by `schema()`"));
        }
        let kind = ArrowSchema::try_new(&format, Vec::new(), None).map_err(wrong)?;
        let kind = DataType::try_from(&kind).map_err(wrong)?;
        planner.fields.push(Arc::new(Field::new(&name, kind, nullable != 0)));
        Ok(())
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Planner::act(handle, act) }
}

unsafe extern "C" fn schema(handle: *mut c_void, schema: *mut ArrowSchema) {
    let act = |planner: &mut Planner| {
        if schema.is_null() {
            return Err(Error::internal("the plugin plans by a schema that is missing"));
        }
        // SAFETY: the plugin gives it away, by the C Data Interface.
        let schema = unsafe { import_schema(&ArrowSchema::from_raw(schema)) }?;
        planner.fields.extend(schema.fields().iter().cloned());
        planner.metadata.extend(schema.metadata().clone());
        Ok(())
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Planner::act(handle, act) }
}

unsafe extern "C" fn details(handle: *mut c_void, json: Text) {
    let act = |planner: &mut Planner| {
        // SAFETY: the text lives as long as the call.
        let json = unsafe { bounds::data(json, "details of a plan") }?;
        let wrong = |e| Error::internal(format!("the plugin plans something that is no plan: {e}"));
        let details = serde_json::from_str(&json).map_err(wrong)?;
        match planner.details.replace(details) {
            None => Ok(()),
            Some(_) => Err(Error::internal("the plugin plans its details twice")),
        }
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Planner::act(handle, act) }
}
