//! `mask`: hides what stands before the `@` of mail addresses. A struct comes in, a struct goes out.

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{BuildContext, Error, Planned, Result, Role, Stage, StageSpec, rows};
use serde::{Deserialize, Serialize};

gristmill_abi::export_stages!(Mask);

/// The kind `mask`.
pub struct Mask;

/// The options under `with`. Their comments are what `gristmill stages` prints.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub struct Options {
    /// How many characters of a name stay visible.
    #[serde(default = "one")]
    keep: usize,
}

fn one() -> usize {
    1
}

/// The columns that it needs. Others are left out.
#[derive(Debug, Deserialize)]
struct Customer {
    name: String,
    mail: Option<String>,
}

/// The columns that come out.
#[derive(Debug, Serialize, Deserialize)]
struct Masked {
    name: String,
    mail: Option<String>,
    domain: Option<String>,
}

impl StageSpec for Mask {
    type Options = Options;
    const KIND: &'static str = "mask";
    const SUMMARY: &'static str = "Hides what stands before the @ of mail addresses.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: mask\nwith: { keep: 2 }";
    const INPUT: &'static str = "`name`, `mail` (strings)";
    const OUTPUT: &'static str = "`name`, `mail`, `domain` (strings)";

    fn plan(options: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        if options.keep > 10 {
            let text = format!("`keep` is {}, which hides next to nothing", options.keep);
            return Err(Error::option("keep", text).help("10 at the most"));
        }
        rows::expect::<Customer>(input)?;
        Ok(Planned::emits(rows::schema_of::<Masked>()?))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        rows::map(context, move |customer: Customer| mask(customer, options.keep))
    }
}

/// An error rejects the row: it goes to the file of rejected rows, with the reason.
fn mask(Customer { name, mail }: Customer, keep: usize) -> Result<Masked> {
    let Some(mail) = mail else { return Ok(Masked { name, mail: None, domain: None }) };
    let (user, domain) =
        mail.split_once('@').ok_or_else(|| Error::data(format!("`{mail}` is no mail address")))?;
    let shown: String = user.chars().take(keep).collect();
    Ok(Masked { name, mail: Some(format!("{shown}***@{domain}")), domain: Some(domain.to_owned()) })
}

#[cfg(test)]
mod tests {
    use gristmill_stage::Typed;
    use gristmill_testkit::conformance::{Settings, check};
    use gristmill_testkit::rows;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_hidden() {
        let customer = Customer { name: "Ann".into(), mail: Some("ann.lee@shop.example".into()) };
        let masked = mask(customer, 2).unwrap();
        assert_eq!(masked.mail.as_deref(), Some("an***@shop.example"));
        assert_eq!(masked.domain.as_deref(), Some("shop.example"));
    }

    #[test]
    fn it_keeps_the_contract_of_a_stage() {
        let input = rows!([
            { "name": "Ann", "mail": "ann@shop.example" },
            { "name": "Bob", "mail": null },
            { "name": "Cid", "mail": "nowhere" },
        ]);
        let settings = Settings::new().ordered().one_to_one();
        let report =
            check(&Typed::<Mask>::new(), &json!({ "keep": 1 }), vec![input], &settings).unwrap();
        assert_eq!((report.rows, report.rejected), (2, 1));
    }
}
