//! An async closure over serde structs, as a stage.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rows::{from_batch, to_batch};
use crate::{BuildContext, Error, Result, Stage};

use super::row::row_bytes;
use super::{AsyncRows, Concurrent, Limits, Row, Turn};

/// Makes a stage of an async closure that turns a row into a row. An `Err` rejects the row.
///
/// ```
/// # use gristmill_stage::{BuildContext, Result, Stage, concurrent::{self, Limits}};
/// # use gristmill_stage::serde::{Deserialize, Serialize};
/// #[derive(Deserialize)]
/// #[serde(crate = "gristmill_stage::serde")]
/// struct Word { word: String }
///
/// #[derive(Serialize)]
/// #[serde(crate = "gristmill_stage::serde")]
/// struct Meaning { word: String, meaning: String }
///
/// fn build(context: BuildContext) -> Result<Stage> {
///     concurrent::map(&context, Limits::new(8), |Word { word }: Word| async move {
///         let meaning = look_up(&word).await?;
///         Ok(Meaning { word, meaning })
///     })
/// }
/// # async fn look_up(word: &str) -> Result<String> { Ok(word.to_uppercase()) }
/// ```
///
/// # Errors
/// Those of [`Concurrent::new`].
pub fn map<I, O, F, Fut>(context: &BuildContext, limits: Limits, call: F) -> Result<Stage>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send + 'static,
{
    let rows = Typed {
        call,
        schema: context.output().clone(),
        average: AtomicUsize::new(size_of::<O>()),
        types: PhantomData,
    };
    Ok(Stage::transform(Concurrent::new(rows, limits, context)?))
}

struct Typed<F, I, O> {
    call: F,
    schema: SchemaRef,
    /// What a row took in the last batch: the size of a struct is not known before it is columns.
    average: AtomicUsize,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O, F, Fut> AsyncRows for Typed<F, I, O>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send + 'static,
{
    type Out = O;

    async fn call(&self, row: Row, _: &mut Turn) -> Result<O> {
        let mut rows = from_batch::<I>(&row.slice()).map_err(|error| {
            // It is the only row of its batch; which one means nothing to anybody.
            let message = error.message().trim_start_matches("row 0: ");
            Error::new(error.kind(), message)
        })?;
        let row = rows.pop().ok_or_else(|| Error::internal("a row is missing"))?;
        (self.call)(row).await
    }

    fn size(&self, _: &O) -> usize {
        self.average.load(Ordering::Relaxed)
    }

    fn collect(&self, rows: Vec<(Row, O)>) -> Result<RecordBatch> {
        let rows: Vec<O> = rows.into_iter().map(|(_, out)| out).collect();
        let batch = to_batch(&self.schema, &rows)?;
        self.average.store(row_bytes(&batch), Ordering::Relaxed);
        Ok(batch)
    }
}
