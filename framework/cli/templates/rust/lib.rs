//! `{{kind}}`: greets everybody by name. A struct comes in, a struct goes out.

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{BuildContext, Error, Planned, Result, Role, Stage, StageSpec, rows};
use serde::{Deserialize, Serialize};

gristmill_abi::export_stages!(Greet);

/// The kind `{{kind}}`.
pub struct Greet;

/// The options under `with`. Their comments are what `gristmill stages` prints.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub struct Options {
    /// What to greet with.
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "Hello".to_owned()
}

/// The columns that come in.
#[derive(Debug, Deserialize)]
struct Guest {
    n: i64,
    name: String,
}

/// The columns that go out.
#[derive(Debug, Serialize, Deserialize)]
struct Greeted {
    n: i64,
    text: String,
}

impl StageSpec for Greet {
    type Options = Options;
    const KIND: &'static str = "{{kind}}";
    const SUMMARY: &'static str = "Greets everybody by name.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: {{kind}}\nwith: { greeting: Welcome }";
    const INPUT: &'static str = "`n` (int64), `name` (string)";
    const OUTPUT: &'static str = "`n` (int64), `text` (string)";

    /// Checks the options against the input and says what comes out; `gristmill check` calls it.
    fn plan(options: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        if options.greeting.is_empty() {
            return Err(Error::option("greeting", "nobody is greeted by nothing").help("try Hello"));
        }
        rows::expect::<Guest>(input)?;
        Ok(Planned::emits(rows::schema_of::<Greeted>()?))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        rows::map(context, move |guest: Guest| greet(&options.greeting, guest))
    }
}

/// An error rejects the row: it goes to the file of rejected rows, with the reason.
fn greet(greeting: &str, Guest { n, name }: Guest) -> Result<Greeted> {
    if name.trim().is_empty() {
        return Err(Error::data("this one has no name"));
    }
    Ok(Greeted { n, text: format!("{greeting}, {name}!") })
}

#[cfg(test)]
mod tests {
    use gristmill_stage::Typed;
    use gristmill_testkit::conformance::{Settings, check};
    use gristmill_testkit::rows;
    use serde_json::json;

    use super::*;

    #[test]
    fn everybody_is_greeted() {
        let greeted = greet("Hello", Guest { n: 1, name: "Ann".to_owned() }).unwrap();
        assert_eq!(greeted.text, "Hello, Ann!");
    }

    /// All that a run may do to a stage: other batches, restarts, several workers.
    #[test]
    fn it_keeps_the_contract_of_a_stage() {
        let input = rows!([{ "n": 1, "name": "Ann" }, { "n": 2, "name": " " }]);
        let settings = Settings::new().ordered().one_to_one();
        let report = check(&Typed::<Greet>::new(), &json!({}), vec![input], &settings).unwrap();
        assert_eq!((report.rows, report.rejected), (1, 1));
    }
}
