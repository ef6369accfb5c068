//! `generate` as a kind of stage.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use gristmill_stage::{BuildContext, Lineage, Planned, Result, Role, Stage, StageSpec};

use crate::options::{Options, VarOption};
use crate::product::Product;
use crate::program::{Addresses, Program};
use crate::urlfile::UrlFile;
use crate::values::check_file;

/// The kind `generate`: makes requests, or rows of numbers.
///
/// Emits `n` (int64: the number of `count` or `range`, otherwise the number of the row, or of the
/// line of the file, from 1), a text column for each variable, and, where there is an address, `url`
/// and `method` (text), `headers` (map of text to text) and `body` (text) where they are given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generate;

impl StageSpec for Generate {
    type Options = Options;

    const KIND: &'static str = "generate";
    const SUMMARY: &'static str =
        "Makes requests from templates, lists, ranges or a file of addresses.";
    const ROLE: Role = Role::Source;
    const EXAMPLE: &'static str = r#"name: requests
type: generate
with:
  url: "https://example.com/{lang}/item/{n}"
  count: 500
  vars:
    lang: [en, nl]
  headers: { accept-language: "{lang}" }
"#;
    const INPUT: &'static str = "none";
    const OUTPUT: &'static str = "n (int64), one text column for each variable; with an address also \
        url and method (text), and, when given, headers (map of text to text) and body (text)";

    fn plan(options: &Options, _input: Option<&SchemaRef>) -> Result<Planned> {
        let program = Program::new(options)?;
        let schema = program.schema();
        let names = schema.fields().iter().map(|field| field.name());
        let lineage = names.fold(Lineage::new(), |lineage, name| lineage.makes(name, [""; 0]));
        let planned = Planned::emits(Arc::clone(&schema)).lineage(lineage);
        let mut planned = match (program.total()?, &program.addresses) {
            (Some(1), _) => planned.note("makes 1 row"),
            (Some(total), _) => planned.note(format!("makes {total} rows")),
            (None, Addresses::File(path)) => {
                let note = format!("makes a row for each line of {}", path.display());
                planned.reads(path).note(note)
            }
            (None, _) => planned,
        };
        let mut held = 0;
        for (name, option) in &program.vars {
            if let VarOption::File(file) = option {
                held += check_file(&file.file, &format!("vars.{name}.file"))?;
                planned = planned.reads(&file.file);
            }
        }
        Ok(planned.holds(held))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        let program = Program::new(&options)?;
        Ok(match &options.file {
            Some(path) => Stage::source(UrlFile::new(program, path, &context)?),
            None => Stage::source(Product::new(program, &context)?),
        })
    }
}
