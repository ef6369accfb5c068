//! What a kind of a plugin declares, and its stages set.

use gristmill_abi::{Kind as Table, MOST_WRITTEN, Text, Writer};
use gristmill_stage::reading::Declared;
use gristmill_stage::{BuildContext, Error, Reading, Readout, Result};

/// The readings that a kind declares; none of one of version 1.0. They stay for as long as its library:
/// for ever.
///
/// # Errors
/// When they are no declarations, or one of them can be no metric; it names the kind.
pub(crate) fn declared(table: &Table, kind: &str) -> Result<&'static [Reading]> {
    let Some(call) = table.readings else { return Ok(&[]) };
    let bytes = Writer::collect(|writer| {
        // SAFETY: the writer is there until the call returns.
        unsafe { call(writer) };
    });
    let wrong = |what: String| Error::option("path", format!("the kind `{kind}`: {what}"));
    if bytes.len() == MOST_WRITTEN {
        return Err(wrong(format!("its readings have {MOST_WRITTEN} bytes or more")));
    }
    if bytes.is_empty() {
        return Ok(&[]);
    }
    let all: Vec<Declared> = serde_json::from_slice(&bytes).map_err(|e| {
        wrong(format!("its readings are no declarations: {e}")).help(
            "a JSON list such as [{\"name\": \"misses\", \"measure\": \"counter\", \"help\": \"What was not found.\"}]",
        )
    })?;
    Declared::keep(all).map_err(|error| error.context(format!("the kind `{kind}`")).at("path"))
}

/// Where the readings of one worker are set, by their numbers.
pub(crate) struct Readouts {
    declared: &'static [Reading],
    /// One for each series, in the order of the declarations.
    all: Vec<Readout>,
}

impl Readouts {
    /// Those of a worker with these readings.
    pub(crate) fn new(declared: &'static [Reading], context: &BuildContext) -> Result<Self> {
        let mut all = Vec::new();
        for reading in declared {
            let readout = context.reading(reading.name)?;
            for value in reading.series() {
                all.push(match value {
                    Some(value) => readout.of(value)?,
                    None => readout.clone(),
                });
            }
        }
        Ok(Self { declared, all })
    }

    /// The number of a reading, or of one value of its label, which is otherwise empty; -1 of one that was
    /// not declared.
    ///
    /// # Safety
    /// Both texts must be there.
    pub(crate) unsafe fn number(&self, name: Text, value: Text) -> i64 {
        // SAFETY: by the contract of this function.
        let (Some(name), Some(value)) = (unsafe { name.get() }, unsafe { value.get() }) else {
            return -1;
        };
        let series = self.declared.iter().flat_map(|reading| {
            reading.series().map(|value| (reading.name, value.unwrap_or_default()))
        });
        let found =
            series.zip(0..).find_map(|(one, number)| (one == (name, value)).then_some(number));
        found.unwrap_or(-1)
    }

    /// The reading of a number that it was given for; a plugin may be wrong about it.
    pub(crate) fn get(&self, number: i64) -> Option<&Readout> {
        self.all.get(usize::try_from(number).ok()?)
    }
}
