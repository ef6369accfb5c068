//! The kind `fetch`: schema in, schema out, bounds.

use std::sync::Arc;

use arrow_schema::{FieldRef, Schema, SchemaRef};
use gristmill_stage::concurrent::{Concurrent, Limits};
use gristmill_stage::{
    BatchTarget, BuildContext, Lineage, Planned, Reading, Readout, Result, Role, Stage, StageSpec,
};

use crate::answer;
use crate::fetch::FetchRows;
use crate::options::FetchOptions;
use crate::request::RequestColumns;
use crate::{client::Client, options::BodyType, readings};

/// The kind `fetch`: makes an HTTP request per row.
#[derive(Debug, Clone, Copy)]
pub struct Fetch;

impl StageSpec for Fetch {
    type Options = FetchOptions;

    const KIND: &'static str = "fetch";
    const SUMMARY: &'static str = "Makes an HTTP request per row and emits the answer.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "\
name: pages
type: fetch
with:
  concurrency: 64
  timeout: 10s
  retries: 3
  headers: { accept: text/html }
";
    const INPUT: &'static str = "`url` (text); optional: `method` (text, GET when null), `headers` \
        (map of text to text), `body` (text or bytes). Other columns are carried through. Rows \
        without a `url` are rejected.";
    const OUTPUT: &'static str = "the columns of the input that are not named below, then: \
        `url` (as in the input), `final_url` (after redirects), `status` (int32), `headers` (map; \
        names in lower case), `body` (text, or bytes with `body: bytes`), `error` (text; null when \
        all is well), `attempts` (int32), `timings` (struct of seconds: `wait` in pauses before \
        retries, `first_byte` from the start of the last attempt to its answer, `total`), `bytes` \
        (int64, the decompressed body). Without an answer all but `url`, `error`, `attempts` and \
        `timings` are null.";
    const READINGS: &'static [Reading] = readings::READINGS;

    fn plan(options: &FetchOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let empty = Arc::new(Schema::empty());
        let input = input.unwrap_or(&empty);
        options.check()?;
        let requests = RequestColumns::find(input)?;
        if options.ca_file.is_some() {
            // Only to find out whether the file can be used.
            Client::new(options, Readout::default())?;
        }
        let (carried, output) = layout(input, options.body, None);
        let lineage = carried.into_iter().map(|index| input.field(index).name());
        let lineage = lineage.fold(Lineage::new(), Lineage::passes);
        let lineage = lineage.needs(requests.names(input));
        let batches = 2 * BatchTarget::default().bytes as u64;
        let bodies = options.max_body.0.saturating_mul(options.concurrency as u64);
        let mut planned =
            Planned::emits(output).lineage(lineage).holds(bodies.saturating_add(batches));
        if let Some(path) = &options.ca_file {
            planned = planned.reads(path);
        }
        let names = ["final_url", "status", "headers"];
        if names.iter().all(|name| input.column_with_name(name).is_some()) {
            planned = planned.note(
                "the input looks like answers of an earlier fetch: their `headers` and `body` are \
                 sent with the requests; drop these columns before if that is not meant",
            );
        }
        Ok(planned)
    }

    fn build(options: FetchOptions, context: BuildContext) -> Result<Stage> {
        options.check()?;
        let limits = Limits::new(options.concurrency);
        let (carried, output) = layout(context.input(), options.body, Some(context.output()));
        let rows = FetchRows::new(options, carried, output, &context)?;
        Ok(Stage::transform(Concurrent::new(rows, limits, &context)?))
    }
}

/// Which columns of the input are carried through, by place, and the columns that come out. Of the
/// carried ones only those that are `wanted`, or all.
fn layout(
    input: &SchemaRef,
    body: BodyType,
    wanted: Option<&SchemaRef>,
) -> (Vec<usize>, SchemaRef) {
    let wants = |name: &str| wanted.is_none_or(|wanted| wanted.index_of(name).is_ok());
    let carried: Vec<usize> = (0..input.fields().len())
        .filter(|&index| {
            let name = input.field(index).name().as_str();
            !answer::NAMES.contains(&name) && wants(name)
        })
        .collect();
    let mut fields: Vec<FieldRef> =
        carried.iter().map(|&index| Arc::clone(&input.fields()[index])).collect();
    // Rows without a URL are rejected, so what comes out has one.
    if let Ok(url) = input.field_with_name("url") {
        fields.push(Arc::new(url.clone().with_nullable(false)));
    }
    fields.extend(answer::fields(body));
    let output = Schema::new_with_metadata(fields, input.metadata().clone());
    (carried, Arc::new(output))
}
