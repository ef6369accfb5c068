//! From the text of one value to the value.

use std::borrow::Cow;

use arrow_cast::parse::Parser;
use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use regex::Regex;

use crate::options::{FieldMap, NumberMarks};
use crate::time::{TimeLayout, Zone};

/// How the text of a field becomes a value.
#[derive(Debug, Clone)]
pub(crate) struct Convert {
    /// The type of the value.
    pub(crate) kind: ColumnType,
    trim: bool,
    pick: Option<Regex>,
    marks: Option<NumberMarks>,
    layout: Option<TimeLayout>,
    zone: Zone,
}

/// A value that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// Text, or JSON text.
    Text(&'a str),
    /// An int64.
    Int(i64),
    /// A float64.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
}

impl Convert {
    /// Checks what a field says of its type. `path` is the field's place in the options, `trim`
    /// what holds when the field does not say.
    pub(crate) fn new(options: &FieldMap, path: &str, trim: bool) -> Result<Self> {
        let kind = options.kind.unwrap_or_default();
        let at = |name: &str| format!("{path}.{name}");
        let pick = match &options.pick {
            None => None,
            Some(pick) => Some(compile(pick, &at("pick"))?),
        };
        if options.number.is_some() && !matches!(kind, ColumnType::Int64 | ColumnType::Float64) {
            let message = format!("`number` has no meaning for type {}", kind.name());
            return Err(Error::option(at("number"), message).help("set `type: float64` or int64"));
        }
        if let Some(marks) = options.number
            && (marks.thousands == Some(marks.decimal) || marks.decimal.is_ascii_digit())
        {
            let message = "`thousands` and `decimal` must be two different marks, not digits";
            return Err(Error::option(at("number"), message));
        }
        let layout = match &options.format {
            None => None,
            Some(_) if !matches!(kind, ColumnType::Timestamp | ColumnType::Date) => {
                let message = format!("`format` has no meaning for type {}", kind.name());
                return Err(
                    Error::option(at("format"), message).help("set `type: timestamp` or date")
                );
            }
            Some(text) => Some(TimeLayout::new(text).ok_or_else(|| {
                Error::option(at("format"), format!("`{text}` is not a strftime format"))
                    .help("write it like `%d.%m.%Y %H:%M:%S`")
            })?),
        };
        let zone = Zone::new(options.zone.as_deref(), &at("zone"))?;
        let trim = options.trim.unwrap_or(trim);
        Ok(Self { kind, trim, pick, marks: options.number, layout, zone })
    }

    /// Reads one value.
    ///
    /// # Errors
    /// What is wrong with the text, as the end of the sentence `"…" …`.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<Scalar<'a>, Cow<'static, str>> {
        let plain = matches!(self.kind, ColumnType::String);
        let mut text = if self.trim || !plain { text.trim() } else { text };
        if let Some(pick) = &self.pick {
            text = self.picked(pick, text).ok_or("has nothing that `pick` matches")?;
        }
        let wrong = |what: &'static str| Err(Cow::Borrowed(what));
        match self.kind {
            ColumnType::String => Ok(Scalar::Text(text)),
            ColumnType::Int64 => match self.plain_number(text).and_then(|n| n.parse().ok()) {
                Some(number) => Ok(Scalar::Int(number)),
                None => wrong("is not an int64"),
            },
            ColumnType::Float64 => {
                let number = self.plain_number(text).and_then(|n| n.parse::<f64>().ok());
                match number.filter(|n| n.is_finite()) {
                    Some(number) => Ok(Scalar::Float(number)),
                    None => wrong("is not a float64"),
                }
            }
            ColumnType::Boolean => match text {
                "1" => Ok(Scalar::Bool(true)),
                "0" => Ok(Scalar::Bool(false)),
                t if t.eq_ignore_ascii_case("true") || t.eq_ignore_ascii_case("yes") => {
                    Ok(Scalar::Bool(true))
                }
                t if t.eq_ignore_ascii_case("false") || t.eq_ignore_ascii_case("no") => {
                    Ok(Scalar::Bool(false))
                }
                _ => wrong("is not a boolean"),
            },
            ColumnType::Timestamp => match self.micros(text) {
                Some(micros) => Ok(Scalar::Timestamp(micros)),
                None => wrong("is not a timestamp in the expected format"),
            },
            ColumnType::Date => match self.days(text) {
                Some(days) => Ok(Scalar::Date(days)),
                None => wrong("is not a date in the expected format"),
            },
            ColumnType::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => Ok(Scalar::Text(text)),
                Err(_) => wrong("is not JSON"),
            },
        }
    }

    /// The zone of times without one.
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// Whether a value of this type is a time that is written as its format writes times.
    pub(crate) fn is_own_time(&self) -> bool {
        self.kind == ColumnType::Timestamp && self.layout.is_none() && self.pick.is_none()
    }

    fn picked<'a>(&self, pick: &Regex, text: &'a str) -> Option<&'a str> {
        if pick.captures_len() == 1 {
            return pick.find(text).map(|found| found.as_str());
        }
        let groups = pick.captures(text)?;
        groups.get(1).or_else(|| groups.get(0)).map(|group| group.as_str())
    }

    /// The number as Rust writes it; `None` when a mark stands where none can.
    fn plain_number<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let Some(marks) = self.marks else {
            return Some(Cow::Borrowed(text));
        };
        let mut plain = String::with_capacity(text.len());
        let mut after_digit = false;
        let mut fraction = false;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if Some(c) == marks.thousands {
                let before_digit = rest.peek().is_some_and(char::is_ascii_digit);
                if !after_digit || !before_digit || fraction {
                    return None;
                }
                continue;
            }
            if c == marks.decimal {
                fraction = true;
                plain.push('.');
            } else if c == '.' {
                return None;
            } else {
                plain.push(c);
            }
            after_digit = c.is_ascii_digit();
        }
        Some(Cow::Owned(plain))
    }

    fn micros(&self, text: &str) -> Option<i64> {
        match &self.layout {
            Some(layout) => layout.micros(text, self.zone),
            None => self.zone.rfc3339(text),
        }
    }

    fn days(&self, text: &str) -> Option<i32> {
        match &self.layout {
            Some(layout) => layout.days(text),
            None => arrow_array::types::Date32Type::parse(text),
        }
    }
}

/// Compiles a regular expression that stands at `path` in the options.
pub(crate) fn compile(pattern: &str, path: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        // The crate draws the pattern with a caret over several lines; its last line says what.
        let text = error.to_string();
        let what = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Error::option(path, format!("`{pattern}` is not a regular expression: {what}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(yaml: serde_json::Value) -> Convert {
        let options = serde_json::from_value(yaml).expect("options");
        Convert::new(&options, "fields.x", false).expect("convert")
    }

    #[test]
    fn numbers_are_read_strictly() {
        let float = convert(serde_json::json!({"type": "float64"}));
        assert_eq!(float.read(" 1.5\n"), Ok(Scalar::Float(1.5)));
        for wrong in ["", "1,5", "€ 1", "NaN", "inf", "1e999", "1.5 "] {
            assert_eq!(float.read(wrong).is_ok(), wrong == "1.5 ", "{wrong}");
        }
        let int = convert(serde_json::json!({"type": "int64"}));
        assert_eq!(int.read("-12"), Ok(Scalar::Int(-12)));
        assert!(int.read("1.0").is_err() && int.read("9223372036854775808").is_err());
    }

    #[test]
    fn a_number_is_picked_and_its_marks_understood() {
        let price = convert(serde_json::json!({
            "type": "float64", "pick": "[0-9.,]+", "number": {"thousands": ".", "decimal": ","},
        }));
        assert_eq!(price.read("€ 1.234,50"), Ok(Scalar::Float(1234.5)));
        assert_eq!(price.read("12 EUR"), Ok(Scalar::Float(12.0)));
        for wrong in ["free", "1..2", ".5", "1,2,3", "1,2.3"] {
            assert!(price.read(wrong).is_err(), "{wrong}");
        }
        let group = convert(serde_json::json!({"pick": "id=([a-z]+)"}));
        assert_eq!(group.read("x id=abc;"), Ok(Scalar::Text("abc")));
    }

    #[test]
    fn times_and_dates() {
        let rfc = convert(serde_json::json!({"type": "timestamp"}));
        assert_eq!(rfc.read("1970-01-01T01:00:00.5+01:00"), Ok(Scalar::Timestamp(500_000)));
        assert!(rfc.read("yesterday").is_err());
        for (format, text, micros) in [
            ("%d.%m.%Y %H:%M", "02.01.1970 00:01", 86_460_000_000),
            ("%d.%m.%Y", "02.01.1970", 86_400_000_000),
            ("%Y-%m-%d %H:%M %z", "1970-01-01 01:00 +0100", 0),
            ("%s", "7", 7_000_000),
        ] {
            let custom = convert(serde_json::json!({"type": "timestamp", "format": format}));
            assert_eq!(custom.read(text), Ok(Scalar::Timestamp(micros)), "{format}");
        }
        let date = convert(serde_json::json!({"type": "date"}));
        assert_eq!(date.read("1970-01-11"), Ok(Scalar::Date(10)));
        let date = convert(serde_json::json!({"type": "date", "format": "%d/%m/%y"}));
        assert_eq!(date.read("11/01/70"), Ok(Scalar::Date(10)));
        assert!(date.read("31/02/70").is_err());
    }

    #[test]
    fn booleans_and_json() {
        let boolean = convert(serde_json::json!({"type": "boolean"}));
        assert_eq!(boolean.read("TRUE"), Ok(Scalar::Bool(true)));
        assert_eq!(boolean.read("no"), Ok(Scalar::Bool(false)));
        assert!(boolean.read("maybe").is_err());
        let json = convert(serde_json::json!({"type": "json"}));
        assert_eq!(json.read(" {\"a\":1} "), Ok(Scalar::Text("{\"a\":1}")));
        assert!(json.read("{").is_err());
    }

    #[test]
    fn wrong_options_are_found() {
        for (options, path) in [
            (serde_json::json!({"pick": "("}), "fields.x.pick"),
            (serde_json::json!({"number": {"decimal": ","}}), "fields.x.number"),
            (serde_json::json!({"format": "%Y"}), "fields.x.format"),
            (serde_json::json!({"format": "%!", "type": "date"}), "fields.x.format"),
        ] {
            let options: FieldMap = serde_json::from_value(options).expect("options");
            let error = Convert::new(&options, "fields.x", false).expect_err("must fail");
            assert_eq!(error.option_path(), Some(path));
        }
    }
}
