//! What a stage alone can know of its work: requests under way, groups held, answers by class.
//!
//! A stage names no metric. It declares readings in its [`StageSpec`](crate::StageSpec::READINGS), asks
//! for them by name while it is built ([`BuildContext::reading`](crate::BuildContext::reading)), and
//! sets them as it works. The framework makes metrics of them, in every mode.
//!
//! Which series there are follows from the declaration alone: a label has its values in a list, so
//! nothing that is in the rows can become a series.

mod cell;
mod declared;
mod keeper;
mod readout;
mod series;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use cell::Cell;

pub use declared::Declared;
pub use keeper::Keeper;
pub use readout::{Held, Readout};
pub use series::{Figure, Series};

/// The declaration of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Its name, without the kind and without the unit: letters from a to z, digits and `_`.
    pub name: &'static str,
    /// What sort of number it is.
    pub measure: Measure,
    /// Its unit, if it has one; a base unit, so that nobody has to convert.
    pub unit: Option<Unit>,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// What tells its numbers apart, if there are several: the name of a label, and all values that it
    /// can have.
    pub label: Option<(&'static str, &'static [&'static str])>,
}

/// What sort of number a reading is, and what the numbers of several workers make together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// Only grows; workers add up.
    Counter,
    /// Goes up and down, from 0 on; workers add up.
    Gauge,
    /// Goes up and down, and of several workers the lowest counts. There is none until it is set.
    Lowest,
    /// How often values up to each of these bounds came, which rise; workers add up.
    Histogram(&'static [f64]),
}

/// The unit of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The unit as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

impl Reading {
    const fn new(name: &'static str, measure: Measure, help: &'static str) -> Self {
        Self { name, measure, unit: None, help, label: None }
    }

    /// A number that only grows.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Measure::Counter, help)
    }

    /// A number that goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Measure::Gauge, help)
    }

    /// A number of which the lowest of all workers counts.
    pub const fn lowest(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Measure::Lowest, help)
    }

    /// How values are spread, by bounds that rise.
    pub const fn histogram(name: &'static str, bounds: &'static [f64], help: &'static str) -> Self {
        Self::new(name, Measure::Histogram(bounds), help)
    }

    /// In this unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// One number for each value of a label.
    #[must_use]
    pub const fn by(mut self, label: &'static str, values: &'static [&'static str]) -> Self {
        self.label = Some((label, values));
        self
    }

    /// Whether it can be a metric.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |what: String| Err(Error::internal(format!("the reading `{}` {what}", self.name)));
        let plain = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if !plain(self.name) {
            return wrong(
                "has a name that is not of letters from a to z, digits and `_`".to_owned(),
            );
        }
        if let Some((label, values)) = self.label {
            // Those of the framework, and that of a histogram.
            let taken = ["pipeline", "stage", "kind", "mode", "worker", "le"].contains(&label);
            if !plain(label) || taken || values.is_empty() {
                return wrong(format!(
                    "cannot have the label `{label}` with {} values",
                    values.len()
                ));
            }
            if values.iter().enumerate().any(|(at, value)| values[..at].contains(value)) {
                return wrong(format!("has a value of `{label}` twice"));
            }
        }
        if let Measure::Histogram(bounds) = self.measure {
            let rise = bounds.windows(2).all(|pair| pair[0] < pair[1]);
            if bounds.is_empty() || !rise || !bounds.iter().all(|bound| bound.is_finite()) {
                return wrong("has bounds that do not rise".to_owned());
            }
        }
        Ok(())
    }

    /// What its series are told apart by, in their order: the values of its label, or nothing once.
    pub fn series(&self) -> impl Iterator<Item = Option<&'static str>> + use<> {
        let (values, alone) = match self.label {
            Some((_, values)) => (values, None),
            None => (&[] as &[_], Some(None)),
        };
        values.iter().copied().map(Some).chain(alone)
    }
}

/// The readings of one worker, kept by whoever runs it.
#[derive(Debug, Default)]
pub struct Readings(Vec<(Reading, Arc<[Cell]>)>);

impl Readings {
    /// What is declared, all at zero.
    pub fn new(declared: &[Reading]) -> Self {
        Self::made_of(declared, |reading, _| Cell::new(reading.measure))
    }

    /// What is declared, as another keeps it. Of these nothing can be [`read`](Self::read) here.
    pub fn kept_by(keeper: &Arc<dyn Keeper>, declared: &[Reading]) -> Self {
        Self::made_of(declared, |reading, value| match keeper.number(reading.name, value) {
            Some(number) => Cell::Away(keeper.clone(), number),
            // It is set, and nobody looks.
            None => Cell::new(reading.measure),
        })
    }

    fn made_of(declared: &[Reading], cell: impl Fn(&Reading, Option<&str>) -> Cell) -> Self {
        let cells = |reading: &Reading| {
            let cells = reading.series().map(|value| cell(reading, value));
            (*reading, cells.collect())
        };
        Self(declared.iter().map(cells).collect())
    }

    /// Where a stage sets a reading.
    ///
    /// # Errors
    /// When it was not declared.
    pub fn readout(&self, name: &str) -> Result<Readout> {
        let found = self.0.iter().find(|(reading, _)| reading.name == name);
        let (reading, cells) = found.ok_or_else(|| {
            Error::internal(format!("the reading `{name}` is not declared"))
                .help("it belongs into `StageSpec::READINGS`")
        })?;
        Ok(Readout::new(*reading, cells.clone()))
    }

    /// All that they say now.
    pub fn read(&self) -> Vec<Series> {
        let all = self.0.iter().flat_map(|(reading, cells)| {
            cells.iter().enumerate().map(|(at, cell)| Series {
                reading: *reading,
                value: reading.label.and_then(|(_, values)| values.get(at).copied()),
                figure: cell.read(),
            })
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Reading] = &[
        Reading::counter("answers", "Answers.").by("status", &["2xx", "5xx"]),
        Reading::gauge("in_flight", "Requests under way."),
        Reading::lowest("watermark_timestamp", "How far.").unit(Unit::Seconds),
        Reading::histogram("latency", &[0.1, 1.0], "How long.").unit(Unit::Seconds),
    ];

    fn number(series: &Series) -> f64 {
        match series.figure {
            Figure::Number(number) => number,
            Figure::Histogram { .. } => panic!("{series:?}"),
        }
    }

    #[test]
    fn what_is_set_is_read() {
        let readings = Readings::new(ALL);
        let answers = readings.readout("answers").unwrap();
        answers.of("5xx").unwrap().add(3);
        let in_flight = readings.readout("in_flight").unwrap();
        let (one, two) = (in_flight.hold(), in_flight.clone().hold());
        drop(one);
        let latency = readings.readout("latency").unwrap();
        [0.1, 0.11, 7.0, f64::NAN].into_iter().for_each(|value| latency.record(value));
        let read = readings.read();
        assert_eq!(read[..3].iter().map(number).collect::<Vec<_>>(), [0.0, 3.0, 1.0]);
        assert_eq!(read[1].value, Some("5xx"));
        assert!(!read[3].is_set());
        let Figure::Histogram { counts, sum } = &read[4].figure else { panic!("{read:?}") };
        assert_eq!(counts, &[1, 1, 1]);
        assert!((sum - 7.21).abs() < 1e-9);
        drop(two);
        assert_eq!(number(&readings.read()[2]), 0.0);
    }

    /// Notes what it is told.
    #[derive(Debug, Default)]
    struct Noted(std::sync::Mutex<Vec<String>>);

    impl Keeper for Noted {
        fn number(&self, name: &str, value: Option<&str>) -> Option<u64> {
            let known = [("answers", Some("5xx")), ("in_flight", None), ("latency", None)];
            known.iter().position(|one| *one == (name, value)).map(|place| place as u64)
        }
        fn add(&self, number: u64, more: u64) {
            self.0.lock().unwrap().push(format!("{number} add {more}"));
        }
        fn set(&self, number: u64, value: f64) {
            self.0.lock().unwrap().push(format!("{number} set {value}"));
        }
        fn change(&self, number: u64, by: f64) {
            self.0.lock().unwrap().push(format!("{number} change {by}"));
        }
        fn record(&self, number: u64, value: f64) {
            self.0.lock().unwrap().push(format!("{number} record {value}"));
        }
    }

    #[test]
    fn another_keeps_what_it_knows() {
        let noted = Arc::new(Noted::default());
        let readings = Readings::kept_by(&(noted.clone() as Arc<dyn Keeper>), ALL);
        let answers = readings.readout("answers").unwrap();
        // It does not know the first, and nobody looks.
        answers.of("2xx").unwrap().add(1);
        answers.of("5xx").unwrap().add(3);
        let in_flight = readings.readout("in_flight").unwrap();
        let held = in_flight.hold();
        in_flight.set(7.0);
        drop(held);
        readings.readout("latency").unwrap().record(0.5);
        let told = noted.0.lock().unwrap().clone();
        let expected = ["0 add 3", "1 change 1", "1 set 7", "1 change -1", "2 record 0.5"];
        assert_eq!(told, expected);
        assert!(readings.readout("other").is_err() && answers.of("9xx").is_err());
    }

    #[test]
    fn workers_add_up_or_the_lowest_counts() {
        let (one, other) = (Readings::new(ALL), Readings::new(ALL));
        for (readings, at) in [(&one, 9.0), (&other, 7.0)] {
            readings.readout("watermark_timestamp").unwrap().set(at);
            readings.readout("in_flight").unwrap().set(at);
            readings.readout("latency").unwrap().record(0.5);
        }
        let mut sum = Series::none(ALL);
        for readings in [&one, &other] {
            sum.iter_mut().zip(readings.read()).for_each(|(sum, more)| sum.add(&more.figure));
        }
        assert_eq!([number(&sum[2]), number(&sum[3])], [16.0, 7.0]);
        assert_eq!(sum[4].figure, Figure::Histogram { counts: vec![0, 2, 0], sum: 1.0 });
    }

    /// A child process may say any numbers, and must not end the run with them.
    #[test]
    fn counts_without_end_add_up() {
        let most = Figure::Histogram { counts: vec![u64::MAX; 3], sum: f64::MAX };
        let mut sum = Series::none(ALL).remove(4);
        sum.add(&most);
        sum.add(&most);
        let expected = Figure::Histogram { counts: vec![u64::MAX; 3], sum: f64::INFINITY };
        assert_eq!(sum.figure, expected);
    }

    #[test]
    fn what_was_not_declared_is_an_error() {
        let readings = Readings::new(ALL);
        assert!(readings.readout("other").unwrap_err().to_string().contains("`other`"));
        let answers = readings.readout("answers").unwrap();
        assert!(answers.of("9xx").unwrap_err().to_string().contains("`9xx`"));
        // Where nobody listens, nothing is wrong.
        Readout::default().of("9xx").unwrap().add(1);
    }

    #[test]
    fn a_declaration_that_can_be_no_metric_is_found() {
        assert!(ALL.iter().all(|reading| reading.check().is_ok()));
        for wrong in [
            Reading::gauge("In flight", ""),
            Reading::gauge("x", "").by("stage", &["a"]),
            Reading::gauge("x", "").by("of", &[]),
            Reading::gauge("x", "").by("of", &["a", "a"]),
            Reading::histogram("x", &[1.0, 1.0], ""),
            Reading::histogram("x", &[f64::INFINITY], ""),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
