//! One line of comma-separated values.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use gristmill_stage::{Error, Result};

use super::parts::{Part, Takers};
use super::{Extract, Found, Locator};
use crate::cells::{Cells, Misfit};
use crate::options::{FieldOptions, Options};

/// Checks the columns and the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let delimiter = ascii(options.delimiter.unwrap_or(','), "delimiter")?;
    let quote = ascii(options.quote.unwrap_or('"'), "quote")?;
    if delimiter == quote {
        return Err(Error::option("quote", "`quote` and `delimiter` must be two different marks"));
    }
    let mut names = options.columns.clone();
    if names.is_empty() {
        for (name, field) in &options.fields.0 {
            if let FieldOptions::Short(_) = field {
                let message = "without `columns`, a field says its type and not where it is found";
                return Err(Error::option(format!("fields.{name}"), message).help(format!(
                    "write `columns: [{name}, …]`, or `{name}: {{ type: string }}`"
                )));
            }
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Err(Error::option("", "`format: csv` needs the names of its columns")
            .help("write `columns: [id, name, price]`"));
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            let message = format!("column `{name}` is named twice");
            return Err(Error::option(format!("columns[{at}]"), message));
        }
    }
    let parts: Vec<_> = names.into_iter().map(Part::new).collect();
    let (fields, takers) = Takers::new(options, Locator::Key, &parts)?;
    let reader = ReaderBuilder::new().delimiter(delimiter).quote(quote).build();
    let extract =
        Csv { reader, columns: parts.len(), takers, values: vec![0; 256], ends: Vec::new() };
    Ok(Found { fields, extract: Box::new(extract) })
}

fn ascii(mark: char, path: &str) -> Result<u8> {
    match u8::try_from(mark) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(byte),
        _ => Err(Error::option(path, format!("{mark:?} cannot be the `{path}`"))
            .help("write one ASCII character, such as `;` or \"\\t\"")),
    }
}

struct Csv {
    reader: Reader,
    columns: usize,
    takers: Takers,
    /// The values of the line at hand, one after another, and where they end.
    values: Vec<u8>,
    ends: Vec<usize>,
}

impl Csv {
    /// Reads one record. The number of its values, and what follows it.
    fn record<'a>(&mut self, mut rest: &'a [u8]) -> Option<(usize, &'a [u8])> {
        self.reader.reset();
        // One more than there should be tells that there are too many.
        self.ends.resize(self.columns + 1, 0);
        let (mut written, mut ended) = (0, 0);
        loop {
            let (result, taken, out, ends) =
                self.reader.read_record(rest, &mut self.values[written..], &mut self.ends[ended..]);
            rest = rest.get(taken..)?;
            written += out;
            ended += ends;
            match result {
                // Once more without input: that is its end.
                ReadRecordResult::InputEmpty if rest.is_empty() && taken > 0 => {}
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return None,
                ReadRecordResult::OutputFull => self.values.resize(self.values.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => return Some((ended, rest)),
                ReadRecordResult::Record => return Some((ended, rest)),
            }
        }
    }
}

impl Extract for Csv {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let (found, rest) =
            self.record(text.as_bytes()).ok_or_else(|| Misfit("the text is empty".to_owned()))?;
        if found != self.columns {
            let more = if found > self.columns { " or more" } else { "" };
            let wanted = self.columns;
            return Err(Misfit(format!("the line has {found}{more} values instead of {wanted}")));
        }
        if !rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Misfit("the text has more than one line".to_owned()));
        }
        let mut start = 0;
        for (part, end) in self.ends[..found].iter().enumerate() {
            let value = self.values.get(start..*end).unwrap_or_default();
            // Quotes and delimiters are ASCII, so that values are cut at whole characters.
            let value = std::str::from_utf8(value)
                .map_err(|_| Misfit(format!("value {} is not UTF-8", part + 1)))?;
            self.takers.put(part, value, cells)?;
            start = *end;
        }
        Ok(())
    }
}
