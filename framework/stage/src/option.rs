//! Types for options that several kinds have: [`ByteSize`] (`64MiB`), [`Time`] (`10s`),
//! [`ColumnType`] (`float64`) and [`Columns`] (`{ name: string, price: float64 }`).

mod column;
mod columns;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use column::ColumnType;
pub use columns::Columns;

/// A number of bytes: `4096`, `64KiB`, `10MB`. `KiB`, `MiB`, `GiB`, `TiB` count in 1024s, `kB`,
/// `MB`, `GB`, `TB` in 1000s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A span of time: `250ms`, `10s`, `1.5m`, `2h`, `1d`. A number alone means seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Duration);

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

const TIMES: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// Splits `1.5 GiB` into its number and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number = text[..end].parse::<f64>().ok()?;
    Some((number, text[end..].trim()))
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a size; write it like 64MiB, 10MB or 4096");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let (_, factor) =
            SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
        let bytes = number * *factor as f64;
        if bytes > u64::MAX as f64 { Err(wrong()) } else { Ok(Self(bytes.round() as u64)) }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a time; write it like 250ms, 10s, 5m or 1h");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let unit = if unit.is_empty() { "s" } else { unit };
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        Duration::try_from_secs_f64(number * factor).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES[..4].iter().find(|(_, factor)| self.0 >= *factor);
        match unit {
            None => write!(f, "{}B", self.0),
            Some((name, factor)) if self.0.is_multiple_of(*factor) => {
                write!(f, "{}{name}", self.0 / factor)
            }
            Some((name, factor)) => write!(f, "{:.1}{name}", self.0 as f64 / *factor as f64),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Reads a text or a number through `FromStr`.
struct Text<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err = String>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData, "a size like 64MiB"))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData, "a time like 10s"))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "size",
            "type": ["string", "integer"],
            "pattern": r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(([kKmMgGtT][iI]?)?[bB])?\s*$",
            "examples": ["64MiB", "10MB", 4096],
        })
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "time",
            "type": ["string", "number"],
            "pattern": r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ns|us|µs|ms|s|m|h|d)?\s*$",
            "examples": ["250ms", "10s", "5m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes, printed) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("10MB", 10_000_000, "9.5MiB"),
            ("4096", 4096, "4KiB"),
            ("1.5 gib", 3 << 29, "1.5GiB"),
            ("7B", 7, "7B"),
        ] {
            let size: ByteSize = text.parse().expect(text);
            assert_eq!((size.0, size.to_string().as_str()), (bytes, printed));
        }
        for wrong in ["", "MiB", "12 parsecs", "-1", "1e400"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_read_and_print() {
        for (text, millis, printed) in
            [("250ms", 250, "250ms"), ("10", 10_000, "10s"), ("1.5m", 90_000, "90s")]
        {
            let time: Time = text.parse().expect(text);
            assert_eq!(time.0, Duration::from_millis(millis));
            assert_eq!(time.to_string(), printed);
        }
        for wrong in ["", "s", "5 fortnights", "1e99h"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }
}
