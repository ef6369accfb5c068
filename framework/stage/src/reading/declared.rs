//! Declarations of readings as they cross a border, in JSON.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Measure, Reading, Unit};
use crate::{Error, Result};

/// So many series the readings of a kind may have; a histogram has one for each bound, and three more.
const MOST_SERIES: usize = 1000;
/// Bytes of a name, and of a value of a label.
const MOST_NAME: usize = 100;
/// Bytes of what a reading says.
const MOST_HELP: usize = 1000;

/// The declaration of a reading by a plugin: a [`Reading`] that came with its texts. Members that are
/// not known are passed over; the words of a measure and of a unit are these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    name: String,
    measure: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    help: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bounds: Vec<f64>,
}

/// A [`Measure`] without its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Counter,
    Gauge,
    Lowest,
    Histogram,
}

impl Declared {
    /// How this reading is declared on the other side.
    pub fn of(reading: &Reading) -> Self {
        let (measure, bounds) = match reading.measure {
            Measure::Counter => (Word::Counter, &[][..]),
            Measure::Gauge => (Word::Gauge, &[][..]),
            Measure::Lowest => (Word::Lowest, &[][..]),
            Measure::Histogram(bounds) => (Word::Histogram, bounds),
        };
        let (label, values) =
            reading.label.map_or((None, &[][..]), |(label, all)| (Some(label), all));
        Self {
            name: reading.name.to_owned(),
            measure,
            unit: reading.unit,
            help: reading.help.to_owned(),
            label: label.map(str::to_owned),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            bounds: bounds.to_owned(),
        }
    }

    /// The readings of a kind, for as long as the process lives: what was declared has no end, as that
    /// of a built-in kind. Each was looked at by [`Reading::check`].
    ///
    /// # Errors
    /// The first that cannot be a metric, by its name; or that there are too many.
    pub fn keep(all: Vec<Self>) -> Result<&'static [Reading]> {
        let series = all.iter().map(Self::series).fold(0, usize::saturating_add);
        if series > MOST_SERIES {
            let text =
                format!("its readings have {series} series; at most {MOST_SERIES} are taken");
            return Err(Error::internal(text)
                .help("a series is a number, or one of a histogram for each bound and three more, for each value of the label"));
        }
        let mut names = BTreeSet::new();
        for declared in &all {
            declared.check()?;
            if !names.insert(&declared.name) {
                return declared.wrong("is declared twice");
            }
        }
        let kept: Vec<Reading> = all.into_iter().map(Self::kept).collect();
        kept.iter().try_for_each(Reading::check)?;
        Ok(kept.leak())
    }

    /// How many series it has.
    fn series(&self) -> usize {
        let each = match self.measure {
            Word::Histogram => self.bounds.len() + 3,
            _ => 1,
        };
        each.saturating_mul(self.values.len().max(1))
    }

    /// What [`Reading::check`] does not look at.
    fn check(&self) -> Result<()> {
        let long = |text: &String| text.len() > MOST_NAME;
        if long(&self.name) {
            return self.wrong(&format!("has a name of more than {MOST_NAME} bytes"));
        }
        if self.help.len() > MOST_HELP {
            return self.wrong(&format!("says more than {MOST_HELP} bytes"));
        }
        if self.label.iter().chain(&self.values).any(long) {
            return self
                .wrong(&format!("has a label, or a value of it, of more than {MOST_NAME} bytes"));
        }
        if self.label.is_none() && !self.values.is_empty() {
            return self.wrong("has values without a label");
        }
        if self.measure != Word::Histogram && !self.bounds.is_empty() {
            return self.wrong("has bounds, and is no histogram");
        }
        Ok(())
    }

    fn wrong<T>(&self, what: &str) -> Result<T> {
        let name: String = self.name.chars().take(MOST_NAME).collect();
        Err(Error::internal(format!("the reading `{}` {what}", name.escape_debug())))
    }

    fn kept(self) -> Reading {
        let Self { name, measure, unit, help, label, values, bounds } = self;
        let values = || -> &'static [&'static str] {
            values.into_iter().map(|value| &*value.leak()).collect::<Vec<_>>().leak()
        };
        Reading {
            name: name.leak(),
            measure: match measure {
                Word::Counter => Measure::Counter,
                Word::Gauge => Measure::Gauge,
                Word::Lowest => Measure::Lowest,
                Word::Histogram => Measure::Histogram(bounds.leak()),
            },
            unit,
            help: help.leak(),
            label: label.map(|label| (&*label.leak(), values())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn readings_come_out_as_they_went_in() {
        const ALL: &[Reading] = &[
            Reading::counter("answers", "Answers.").by("status", &["2xx", "5xx"]),
            Reading::gauge("held", "What is held.").unit(Unit::Bytes),
            Reading::lowest("watermark_timestamp", "How far.").unit(Unit::Seconds),
            Reading::histogram("latency", &[0.1, 1.0], "How long.").unit(Unit::Seconds),
        ];
        let declared: Vec<Declared> = ALL.iter().map(Declared::of).collect();
        let json = serde_json::to_value(declared).unwrap();
        assert_eq!(
            json[0],
            json!({ "name": "answers", "measure": "counter", "help": "Answers.", "label": "status",
                    "values": ["2xx", "5xx"] })
        );
        assert_eq!(
            json[3],
            json!({ "name": "latency", "measure": "histogram", "help": "How long.", "unit": "seconds",
                    "bounds": [0.1, 1.0] })
        );
        let back: Vec<Declared> = serde_json::from_value(json).unwrap();
        assert_eq!(Declared::keep(back).unwrap(), ALL);
    }

    #[test]
    fn what_can_be_no_metric_is_found_by_its_name() {
        let base = json!({ "name": "x", "measure": "counter", "help": "" });
        let many: Vec<String> = (0..=MOST_SERIES).map(|n| n.to_string()).collect();
        for (more, said) in [
            (json!({ "name": "In flight" }), "the reading `In flight` has a name"),
            (json!({ "name": "x".repeat(101) }), "a name of more than 100 bytes"),
            (json!({ "help": "x".repeat(1001) }), "`x` says more than 1000 bytes"),
            (json!({ "label": "stage", "values": ["a"] }), "`x` cannot have the label `stage`"),
            (json!({ "label": "of" }), "the label `of` with 0 values"),
            (json!({ "values": ["a"] }), "`x` has values without a label"),
            (json!({ "label": "of", "values": ["a", "a"] }), "a value of `of` twice"),
            (json!({ "label": "of", "values": ["x".repeat(101)] }), "of more than 100 bytes"),
            (json!({ "label": "of", "values": many }), "have 1001 series; at most 1000 are taken"),
            (json!({ "bounds": [1.0] }), "has bounds, and is no histogram"),
            (json!({ "measure": "histogram" }), "bounds that do not rise"),
            (json!({ "measure": "histogram", "bounds": [2.0, 1.0] }), "bounds that do not rise"),
        ] {
            let mut all = base.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let declared = serde_json::from_value(all.clone()).unwrap();
            let error = Declared::keep(vec![declared]).unwrap_err();
            assert!(error.message().contains(said), "{all}: {error}");
        }
        let twice: Declared = serde_json::from_value(base).unwrap();
        let error = Declared::keep(vec![twice.clone(), twice]).unwrap_err();
        assert!(error.message().contains("`x` is declared twice"), "{error}");
    }

    #[test]
    fn words_are_those_that_are_known() {
        let read = |measure: &str, unit: &str| {
            let json =
                json!({ "name": "x", "measure": measure, "unit": unit, "help": "", "later": 1 });
            serde_json::from_value::<Declared>(json)
        };
        assert!(read("gauge", "bytes").is_ok());
        assert!(read("countr", "bytes").unwrap_err().to_string().contains("`countr`"));
        assert!(read("gauge", "furlongs").unwrap_err().to_string().contains("`furlongs`"));
    }
}
