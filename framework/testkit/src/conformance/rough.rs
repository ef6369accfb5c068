//! Batches of extreme sizes, and stages that are broken off.

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use gristmill_stage::{BatchTarget, Error};

use crate::conformance::Checks;
use crate::conformance::dice::Dice;
use crate::conformance::inputs;
use crate::conformance::seen::Seen;

/// Rows in a batch that batches of thousands are compared with.
const USUAL: usize = 1000;

impl Checks<'_> {
    /// An input without rows is the same with and without batches.
    pub(super) fn empty(&mut self) {
        let Some(schema) = self.runner.schema.clone() else { return };
        // What it has done to the world cannot be read where it has done nothing.
        if self.runner.settings.effect.is_some() {
            return;
        }
        let target = self.target();
        let none = self.begin("empty", "no batch", |runner| runner.run(Vec::new(), target));
        let none = match none.and_then(|seen| seen.clean().map(|()| seen)) {
            Ok(seen) => seen,
            Err(e) => return self.fail("empty", format!("no batch: {e}")),
        };
        for batches in [1, 3] {
            let input = vec![RecordBatch::new_empty(schema.clone()); batches];
            let how = format!("{batches} without rows, and not none");
            self.compare("empty", &how, &none, |runner| runner.run(input, target));
        }
    }

    /// Thousands of rows in one batch are the same as in several.
    pub(super) fn large(&mut self, plain: &Seen) {
        let rows = self.runner.settings.large;
        if rows == 0 {
            return;
        }
        let target = BatchTarget { rows, ..self.target() };
        let how = format!("{rows} rows");
        if self.runner.schema.is_none() {
            return self.compare("large", &how, plain, |runner| runner.run(Vec::new(), target));
        }
        let Some(whole) = self.whole("large").filter(|whole| whole.num_rows() > 0) else { return };
        let large = match repeated(&whole, rows) {
            Ok(large) => large,
            Err(e) => return self.fail("large", e),
        };
        let cuts = (0..rows).step_by(USUAL);
        let parts = cuts.map(|from| large.slice(from, USUAL.min(rows - from))).collect();
        let usual = self.begin("large", "in parts", |runner| runner.run(parts, target));
        match usual.and_then(|seen| seen.clean().map(|()| seen)) {
            Ok(usual) => {
                self.compare("large", &how, &usual, |runner| runner.run(vec![large], target))
            }
            Err(e) => self.fail("large", format!("{rows} rows in parts: {e}")),
        }
    }

    /// A stage that is dropped in the middle leaves nothing behind, and a source that is stopped ends.
    pub(super) fn cancelled(&mut self, plain: &Seen) {
        let source = self.runner.schema.is_none();
        for seed in 0..self.runner.settings.seeds {
            let mut dice = Dice::new(seed);
            let target = BatchTarget { rows: 1 + dice.below(16), ..self.target() };
            let whole = self.whole("cancelled");
            let batches = whole.map_or(Vec::new(), |whole| inputs::cut(&whole, &mut dice));
            let calls = dice.below(batches.len().max(8) + 1);
            let how = format!("dropped after {calls} calls, seed {seed}");
            let run =
                self.begin("cancelled", &how, |runner| runner.broken_off(batches, target, calls));
            if let Err(e) = run {
                self.fail("cancelled", format!("{how}: {e}"));
            }
            if source {
                let how = format!("stopped after {calls} calls, seed {seed}");
                let run = self.begin("cancelled", &how, |runner| runner.stopped(target, calls));
                let run = run.map_err(|e| e.to_string()).and_then(|seen| seen.part_of(plain));
                if let Err(text) = run {
                    self.fail("cancelled", format!("{how}: {text}"));
                }
            }
        }
        let (input, target) = (self.input.clone(), self.target());
        self.compare("cancelled", "another one after that", plain, |runner| {
            runner.run(input, target)
        });
    }
}

/// The rows over and over, so many of them.
fn repeated(whole: &RecordBatch, rows: usize) -> Result<RecordBatch, Error> {
    let have = whole.num_rows();
    let order: UInt32Array = (0..rows).map(|row| (row % have) as u32).collect();
    Ok(take_record_batch(whole, &order)?)
}
