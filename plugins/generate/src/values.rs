//! What a variable runs through.

use std::fmt::Write as _;
use std::path::Path;

use gristmill_stage::{Error, Result};

use crate::lines::{Line, Lines};
use crate::options::{RangeOption, Steps, VarOption};

/// The values of one variable; never empty, except for the numbers of `count: 0`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Numbers(Numbers),
    List(Vec<String>),
}

/// Numbers with equal distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) from: i64,
    pub(crate) step: i64,
    pub(crate) len: u64,
    /// Digits at the least, filled up with zeros.
    width: usize,
}

impl Values {
    /// The values that an option asks for, or `None` where they are in a file, which planning does
    /// not read.
    pub(crate) fn plan(option: &VarOption, path: &str) -> Result<Option<Self>> {
        match option {
            VarOption::List(list) if list.is_empty() => {
                Err(Error::option(path, "the list is empty, so there would be no request at all")
                    .help("name a value, or leave the variable out"))
            }
            VarOption::List(list) => {
                Ok(Some(Self::List(list.iter().map(ToString::to_string).collect())))
            }
            VarOption::Text(text) => Numbers::parse(text, path).map(Self::Numbers).map(Some),
            VarOption::Steps(steps) => Numbers::steps(steps, path).map(Self::Numbers).map(Some),
            VarOption::File(file) => {
                check_file(&file.file, &format!("{path}.file"))?;
                Ok(None)
            }
        }
    }

    /// The values that an option asks for.
    pub(crate) fn read(option: &VarOption, path: &str) -> Result<Self> {
        let VarOption::File(file) = option else {
            let none = || Error::option(path, "there are no values");
            return Self::plan(option, path)?.ok_or_else(none);
        };
        let path = format!("{path}.file");
        let mut lines = Lines::open(&file.file).map_err(|e| e.at(&path))?;
        let mut values = Vec::new();
        loop {
            match lines.read()? {
                Line::Text(text) => values.push(text.to_owned()),
                Line::Blank => {}
                Line::End if values.is_empty() => {
                    return Err(Error::option(
                        path,
                        format!("{} holds no value", file.file.display()),
                    ));
                }
                Line::End => return Ok(Self::List(values)),
                Line::Bad(_, reason) => {
                    let place = format!("{}:{}", file.file.display(), lines.number());
                    return Err(Error::option(path, format!("{place}: {reason}")));
                }
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Numbers(numbers) => numbers.len,
            Self::List(list) => list.len() as u64,
        }
    }

    /// Puts the value at `index` in place of what `out` holds.
    pub(crate) fn write(&self, index: u64, out: &mut String) {
        out.clear();
        match self {
            Self::Numbers(numbers) => numbers.write(index, out),
            Self::List(list) => {
                out.push_str(list.get(index as usize).map_or("", String::as_str));
            }
        }
    }
}

impl Numbers {
    /// 1, 2, 3 and so on.
    pub(crate) fn count(len: u64) -> Self {
        Self { from: 1, step: 1, len, width: 0 }
    }

    pub(crate) fn range(option: &RangeOption, path: &str) -> Result<Self> {
        match option {
            RangeOption::Text(text) => Self::parse(text, path),
            RangeOption::Steps(steps) => Self::steps(steps, path),
        }
    }

    /// Reads `from..to`.
    fn parse(text: &str, path: &str) -> Result<Self> {
        let ends = text.split_once("..").and_then(|(from, to)| {
            let (from, to) = (from.trim(), to.trim());
            Some((from, from.parse::<i64>().ok()?, to.parse::<i64>().ok()?))
        });
        let Some((written, from, to)) = ends else {
            return Err(Error::option(path, format!("`{text}` is not a range")).help(
                "write it like 1..500; both ends belong to it. A list of values goes in brackets",
            ));
        };
        let digits = written.trim_start_matches('-');
        let width = if digits.len() > 1 && digits.starts_with('0') { digits.len() } else { 0 };
        Ok(Self { width, ..Self::steps(&Steps { from, to, step: 1 }, path)? })
    }

    fn steps(steps: &Steps, path: &str) -> Result<Self> {
        let Steps { from, to, step } = *steps;
        if step == 0 {
            return Err(Error::option(format!("{path}.step"), "a step of 0 never comes to an end"));
        }
        let way = i128::from(to) - i128::from(from);
        if way != 0 && (way > 0) != (step > 0) {
            return Err(Error::option(
                path,
                format!("from {from} to {to} by {step} there is no number"),
            )
            .help(format!("write {{from: {from}, to: {to}, step: {}}}", -i128::from(step))));
        }
        // Both have the same sign, so the quotient is not negative; it is below 2^64.
        let len = way / i128::from(step) + 1;
        let len = u64::try_from(len).map_err(|_| Error::option(path, "the range is too large"))?;
        Ok(Self { from, step, len, width: 0 })
    }

    /// The number at `index`, which is below `len`.
    pub(crate) fn at(self, index: u64) -> i64 {
        // Within the range, so the wrapped sum is the true one.
        self.from.wrapping_add(self.step.wrapping_mul(index as i64))
    }

    fn write(self, index: u64, out: &mut String) {
        let number = self.at(index);
        let width = self.width + usize::from(number < 0 && self.width > 0);
        // Writing into a String does not fail.
        let _ = write!(out, "{number:0width$}");
    }
}

/// That there is a file with something in it.
pub(crate) fn check_file(path: &Path, option: &str) -> Result<u64> {
    let about = std::fs::metadata(path)
        .map_err(|e| Error::option(option, format!("{} cannot be read: {e}", path.display())))?;
    if about.is_dir() {
        return Err(Error::option(option, format!("{} is a folder", path.display())));
    }
    if about.is_file() && about.len() == 0 {
        return Err(Error::option(option, format!("{} is empty", path.display())));
    }
    Ok(about.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let numbers = Values::Numbers(Numbers::parse(text, "vars.x").expect(text));
        let mut out = String::new();
        (0..numbers.len())
            .map(|i| {
                numbers.write(i, &mut out);
                out.clone()
            })
            .collect()
    }

    #[test]
    fn both_ends_belong_to_a_range() {
        assert_eq!(all("1..3"), ["1", "2", "3"]);
        assert_eq!(all(" 5 .. 5 "), ["5"]);
        assert_eq!(all("08..11"), ["08", "09", "10", "11"]);
        assert_eq!(all("-01..1"), ["-01", "00", "01"]);
    }

    #[test]
    fn steps_go_up_and_down_and_to_the_ends_of_the_world() {
        let numbers = |from, to, step| Numbers::steps(&Steps { from, to, step }, "range");
        let down = numbers(10, 1, -4).unwrap();
        assert_eq!((0..down.len).map(|i| down.at(i)).collect::<Vec<_>>(), [10, 6, 2]);
        let wide = numbers(i64::MIN, i64::MAX, i64::MAX).unwrap();
        assert_eq!((wide.len, wide.at(0), wide.at(2)), (3, i64::MIN, i64::MAX - 1));
        assert!(numbers(1, 5, 0).unwrap_err().message().contains("never"));
        assert!(numbers(5, 1, 1).unwrap_err().help_text().is_some_and(|h| h.contains("step: -1")));
        assert!(numbers(i64::MIN, i64::MAX, 1).is_err());
        assert!(numbers(0, i64::MIN, -1).is_ok());
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["", "5", "a..z", "1..", "1-5", "1...5"] {
            assert!(Numbers::parse(wrong, "range").is_err(), "{wrong}");
        }
    }
}
