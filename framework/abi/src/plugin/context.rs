//! What a stage in Rust is told when it is built.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use gristmill_stage::arrow_schema::{Schema, SchemaRef};
use gristmill_stage::reading::Keeper;
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Error, Origins, Reading, Readings, Result,
};
use serde::de::DeserializeOwned;

use super::host::HostHandle;
use super::kind::schema;
use crate::Context;
use crate::snapshot::import_parts;
use crate::text::Text;

/// What must outlive a stage.
#[derive(Default)]
pub(super) struct Surroundings {
    #[cfg(feature = "async")]
    runtime: Arc<super::runtime::OwnRuntime>,
}

/// The context in the words of the contract, for a stage of a kind with these readings, and what must
/// outlive the stage.
///
/// # Safety
/// The host's table must be there, with all that it points to.
pub(super) unsafe fn build_context(
    told: &Context,
    readings: &[Reading],
) -> Result<(BuildContext, Surroundings)> {
    let surroundings = Surroundings::default();
    // SAFETY: by the contract of this function.
    let host = Arc::new(unsafe { HostHandle::new(told.host) }?);
    let empty = || -> SchemaRef { Arc::new(Schema::empty()) };
    // SAFETY: by the contract of this function.
    let (input, output, restored, stage) = unsafe {
        let input = schema(told.input)?.unwrap_or_else(empty);
        let output = schema(told.output)?.unwrap_or_else(empty);
        (input, output, import_parts(told.restored)?, told.stage.to_string_lossy())
    };
    let mut origins = Origins::default();
    // SAFETY: by the contract of this function.
    let pairs: BTreeMap<String, String> = unsafe { json(told.origins) }?;
    pairs.into_iter().for_each(|(scheme, base)| origins.add(scheme, base));
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let words = Arc::clone(&host);
    let clock: Arc<dyn Clock> = Arc::clone(&host) as _;
    let keeper: Arc<dyn Keeper> = Arc::clone(&host) as _;
    let context = BuildContext::new(stage, clock)
        .with_instance(whole(told.instance), whole(told.instances))
        .with_schemas(input, output)
        // SAFETY: by the contract of this function.
        .with_hints(unsafe { json(told.hints) }?)
        .with_batch(BatchTarget { rows: whole(told.batch_rows), bytes: whole(told.batch_bytes) })
        .with_ordered(told.ordered != 0)
        .with_restored(restored)
        .with_resumable(told.resumable != 0)
        .with_waker(Waker::from(host))
        .with_origins(Arc::new(origins))
        .with_readings(Arc::new(Readings::kept_by(&keeper, readings)))
        .with_redact(Arc::new(move |text| words.redact(text)));
    #[cfg(feature = "async")]
    let context = context.with_runtime(super::runtime::OwnRuntime::giver(&surroundings.runtime));
    Ok((context, surroundings))
}

/// What a text of JSON says; the default of an empty one.
unsafe fn json<T: DeserializeOwned + Default>(text: Text) -> Result<T> {
    // SAFETY: the host hands over texts that live as long as the call.
    let text = unsafe { text.get() }.unwrap_or_default();
    if text.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|e| Error::internal(format!("the host sent no JSON: {e}")))
}
