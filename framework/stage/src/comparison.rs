//! A column compared with a constant, as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A column compared with a constant. True, false, or, where the column is null and the test is not
/// about that, null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The column.
    pub column: String,
    /// What is asked of it.
    pub test: Test,
}

/// What is asked of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// How it compares with a value of the type of the column.
    Is(Relation, Constant),
    /// Whether it is one of these values.
    In(Vec<Constant>),
    /// Whether it is null.
    Null,
    /// Whether it is not null.
    NotNull,
}

/// How a column compares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value that a column is compared with. It has the type of the column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constant {
    /// Of a boolean column.
    Boolean(bool),
    /// Of a column of whole numbers.
    Integer(i64),
    /// Of a `Float64` column; neither NaN nor infinite.
    Float(f64),
    /// Of a text column.
    Text(String),
}

impl Relation {
    /// The relation with its sides exchanged: `3 < x` is `x > 3`.
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// The operator in SQL.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "'{}'", value.replace('\'', "''")),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, test } = self;
        match test {
            Test::Is(relation, value) => write!(f, "{column} {} {value}", relation.sign()),
            Test::In(values) => {
                let values: Vec<_> = values.iter().map(Constant::to_string).collect();
                write!(f, "{column} IN ({})", values.join(", "))
            }
            Test::Null => write!(f, "{column} IS NULL"),
            Test::NotNull => write!(f, "{column} IS NOT NULL"),
        }
    }
}
