//! Names, alone or each with another.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A list of names that stand for themselves, or names that each stand for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    pairs: Vec<(String, String)>,
    /// Whether they were written as a list.
    list: bool,
}

impl Pairs {
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The path of each pair under the option, and the pair.
    pub(crate) fn each(&self, option: &str) -> impl Iterator<Item = (String, String, String)> {
        self.pairs.iter().enumerate().map(move |(n, (left, right))| {
            let path = match self.list {
                true => format!("{option}[{n}]"),
                false => format!("{option}.{left}"),
            };
            (path, left.clone(), right.clone())
        })
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of columns, or columns with names, `{ a: b }`")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    pairs.push((name.clone(), name));
                }
                Ok(Pairs { pairs, list: true })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs { pairs, list: false })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Pairs {
    fn schema_name() -> Cow<'static, str> {
        "Pairs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "type": ["array", "object"],
            "items": { "type": "string" },
            "additionalProperties": { "type": "string" },
            "examples": [["id"], { "city_id": "id" }],
        })
    }
}
