//! The option that says by which columns rows are ordered.

use std::borrow::Cow;
use std::fmt;

use arrow_schema::{Schema, SortOptions};
use gristmill_stage::{Error, Result};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::keys::find;

/// Columns with their directions, the most important first: `price desc`, `[city, price desc]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    terms: Vec<String>,
    /// Whether it was written as one text, not as a list.
    alone: bool,
}

impl Order {
    /// The columns by their place in the schema.
    ///
    /// # Errors
    /// When a column is missing or cannot be compared, or a term cannot be read.
    pub(crate) fn columns(&self, schema: &Schema) -> Result<Vec<(usize, SortOptions)>> {
        if self.terms.is_empty() {
            return Err(Error::option("by", "there is nothing to order by")
                .help("a column, such as `price desc`"));
        }
        let terms = self.terms.iter().enumerate();
        terms
            .map(|(n, term)| {
                let path = if self.alone { "by".to_owned() } else { format!("by[{n}]") };
                let (name, options) = read(term, schema, &path)?;
                Ok((find(schema, name, &path)?, options))
            })
            .collect()
    }
}

/// A column, perhaps `asc` or `desc`, perhaps `nulls first` or `nulls last`. A column whose name
/// ends in such words is meant by its whole name.
fn read<'a>(term: &'a str, schema: &Schema, path: &str) -> Result<(&'a str, SortOptions)> {
    let mut options = SortOptions { descending: false, nulls_first: false };
    let term = term.trim();
    if schema.index_of(term).is_ok() {
        return Ok((term, options));
    }
    let mut name = term;
    if let Some((rest, word)) = last_word(name)
        && let Some((rest, nulls)) = last_word(rest)
        && nulls.eq_ignore_ascii_case("nulls")
    {
        options.nulls_first = match word.to_ascii_lowercase().as_str() {
            "first" => true,
            "last" => false,
            _ => {
                let text = format!("nulls can be `first` or `last`, not `{word}`");
                return Err(Error::option(path, text).help("for example `price desc nulls first`"));
            }
        };
        name = rest;
    }
    if let Some((rest, word)) = last_word(name) {
        match word.to_ascii_lowercase().as_str() {
            "asc" => name = rest,
            "desc" => (name, options.descending) = (rest, true),
            _ if schema.index_of(rest).is_ok() => {
                let text = format!("`{word}` is no direction");
                return Err(
                    Error::option(path, text).help(format!("write `{rest} asc` or `{rest} desc`"))
                );
            }
            _ => {}
        }
    }
    Ok((name, options))
}

fn last_word(text: &str) -> Option<(&str, &str)> {
    let (rest, word) = text.rsplit_once(char::is_whitespace)?;
    Some((rest.trim_end(), word))
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Order;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column with its direction, `price desc`, or a list of them")
            }

            fn visit_str<E: de::Error>(self, term: &str) -> Result<Order, E> {
                Ok(Order { terms: vec![term.to_owned()], alone: true })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Order, A::Error> {
                let mut terms = Vec::new();
                while let Some(term) = list.next_element()? {
                    terms.push(term);
                }
                Ok(Order { terms, alone: false })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Order {
    fn schema_name() -> Cow<'static, str> {
        "Order".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "title": "order",
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1,
            "examples": ["price desc", ["city", "price desc nulls first"]],
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    fn schema() -> Schema {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        Schema::new(vec![field("a"), field("b c"), field("x desc")])
    }

    #[test]
    fn terms_have_a_column_a_direction_and_a_place_for_nulls() {
        let schema = schema();
        for (term, name, descending, nulls_first) in [
            ("a", "a", false, false),
            (" a  DESC ", "a", true, false),
            ("a nulls first", "a", false, true),
            ("b c desc NULLS LAST", "b c", true, false),
            ("b c", "b c", false, false),
            ("x desc", "x desc", false, false),
            ("x desc desc", "x desc", true, false),
            ("gone desc", "gone", true, false),
        ] {
            let read = read(term, &schema, "by").expect(term);
            assert_eq!(read, (name, SortOptions { descending, nulls_first }), "{term}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown() {
        let order = |terms: &[&str], alone| Order {
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
            alone,
        };
        for (order, path, text) in [
            (order(&["a downwards"], true), "by", "`downwards` is no direction"),
            (order(&["a", "a nulls lost"], false), "by[1]", "`first` or `last`, not `lost`"),
            (order(&["z desc"], false), "by[0]", "there is no column `z`"),
            (order(&[], false), "by", "there is nothing to order by"),
        ] {
            let error = order.columns(&schema()).expect_err(text);
            assert_eq!(error.option_path(), Some(path));
            assert!(error.message().contains(text), "{error}");
        }
    }
}
