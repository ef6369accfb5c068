//! `mbox`: reads the mails of an mbox file, one row each. It knows at which byte it is, so a run that
//! was killed goes on there.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use gristmill_stage::arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use gristmill_stage::arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, Next, Output, Planned, Result, Role, Snapshot, Source, Stage,
    StageSpec,
};
use serde::{Deserialize, Serialize};

gristmill_abi::export_stages!(Mbox);

/// The kind `mbox`.
pub struct Mbox;

/// The options under `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub struct Options {
    /// The file.
    path: PathBuf,
}

/// Version of the snapshot's layout.
const VERSION: u32 = 1;
/// No line of a mail is longer than this by the standard; a file with longer ones is none.
const LONGEST: u64 = 1 << 20;

impl StageSpec for Mbox {
    type Options = Options;
    const KIND: &'static str = "mbox";
    const SUMMARY: &'static str = "Reads the mails of an mbox file.";
    const ROLE: Role = Role::Source;
    const EXAMPLE: &'static str = "type: mbox\nwith: { path: inbox }";
    const INPUT: &'static str = "none";
    const OUTPUT: &'static str = "`from`, `subject` (strings), `lines` (int64)";

    fn plan(options: &Options, _: Option<&SchemaRef>) -> Result<Planned> {
        if !options.path.is_file() {
            let text = format!("there is no file {}", options.path.display());
            return Err(Error::option("path", text).help("give the path of a file in mbox format"));
        }
        let column = |name, kind| Field::new(name, kind, true);
        let schema = Schema::new(vec![
            column("from", DataType::Utf8),
            column("subject", DataType::Utf8),
            column("lines", DataType::Int64),
        ]);
        Ok(Planned::emits(schema).reads(&options.path).single("it reads one file from its start"))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        let position = context.restored().value(VERSION)?.unwrap_or(Position { byte: 0 });
        let failed = |e| Error::io(format!("{} cannot be read: {e}", options.path.display()));
        let mut file = BufReader::new(File::open(&options.path).map_err(failed)?);
        file.seek(SeekFrom::Start(position.byte)).map_err(failed)?;
        let schema = Arc::clone(context.output());
        Ok(Stage::source(Reader { file, position, schema, batch: context.batch() }))
    }
}

/// Where an equal source goes on: before this byte all has been emitted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Position {
    byte: u64,
}

struct Reader {
    file: BufReader<File>,
    position: Position,
    schema: SchemaRef,
    batch: BatchTarget,
}

#[derive(Default)]
struct Mail {
    from: Option<String>,
    subject: Option<String>,
    lines: i64,
}

impl Reader {
    /// The next mail, with the byte after it.
    fn mail(&mut self, mut byte: u64) -> Result<Option<(Mail, u64)>> {
        let (mut mail, mut begun, mut in_head) = (Mail::default(), false, true);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = std::io::Read::take(&mut self.file, LONGEST).read_until(b'\n', &mut line)?;
            if read as u64 == LONGEST {
                return Err(Error::data(format!(
                    "a line of more than {LONGEST} bytes is in no mail"
                )));
            }
            if read == 0 || (begun && line.starts_with(b"From ")) {
                // The line that begins the next mail is read again.
                self.file.seek_relative(-(read as i64))?;
                return Ok(begun.then_some((mail, byte)));
            }
            byte += read as u64;
            begun = true;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            match text.split_once(": ") {
                _ if !in_head => mail.lines += 1,
                Some(("From", from)) => mail.from = Some(from.to_owned()),
                Some(("Subject", subject)) => mail.subject = Some(subject.to_owned()),
                _ if text.is_empty() => in_head = false,
                _ => {}
            }
        }
    }
}

impl Source for Reader {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let (mut mails, mut byte) = (Vec::new(), self.position.byte);
        while mails.len() < self.batch.rows {
            let Some((mail, after)) = self.mail(byte)? else { break };
            mails.push(mail);
            byte = after;
        }
        if mails.is_empty() {
            return Ok(Next::Done);
        }
        let from: StringArray = mails.iter().map(|mail| mail.from.as_deref()).collect();
        let subject: StringArray = mails.iter().map(|mail| mail.subject.as_deref()).collect();
        let lines: Int64Array = mails.iter().map(|mail| Some(mail.lines)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(from), Arc::new(subject), Arc::new(lines)];
        out.emit(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
        self.position = Position { byte };
        Ok(Next::Now)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(VERSION, &self.position)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_stage::Typed;
    use gristmill_testkit::conformance::{Settings, check};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_keeps_the_contract_of_a_stage() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/inbox");
        let settings = Settings::new().ordered();
        let report =
            check(&Typed::<Mbox>::new(), &json!({ "path": path }), Vec::new(), &settings).unwrap();
        assert_eq!((report.rows, report.rejected), (3, 0));
    }
}
