//! The source that goes through all combinations.

use std::fmt::Write as _;

use gristmill_stage::{BuildContext, Error, ErrorKind, Next, Output, Result, Snapshot, Source};
use serde::{Deserialize, Serialize};

use crate::program::{Addresses, Program};
use crate::rows::{Rows, Uses};
use crate::share::{Ramp, Share};
use crate::template::Cell;
use crate::values::Values;

const VERSION: u32 = 1;

/// Makes a row for each combination of number, variables and address.
pub(crate) struct Product {
    program: Program,
    share: Share,
    ramp: Ramp,
    rows: Rows,
    odometer: Odometer,
    total: u64,
    /// How many of its own rows are made, and how many there are.
    made: u64,
    end: u64,
}

/// Where a worker stands. The other two only guard against going on in another pipeline.
#[derive(Serialize, Deserialize)]
struct Position {
    made: u64,
    total: u64,
    workers: u64,
}

impl Product {
    pub(crate) fn new(program: Program, context: &BuildContext) -> Result<Self> {
        let values: Vec<Values> = program
            .vars
            .iter()
            .map(|(name, option)| Values::read(option, &format!("vars.{name}")))
            .collect::<Result<_>>()?;
        let total = program.product(&values)?;
        let share = Share::new(context.instance(), context.instances());
        let made = match context.restored().value::<Position>(VERSION)? {
            None => 0,
            Some(at) if at.total == total && at.workers == share.instances() => at.made,
            Some(at) => {
                return Err(Error::new(
                    ErrorKind::Restore,
                    format!(
                        "the snapshot is of {} requests on {} workers, now there are {total} on {}",
                        at.total,
                        at.workers,
                        share.instances()
                    ),
                ));
            }
        };
        let rows = Rows::new(&program, context.output().clone(), context.batch());
        let odometer = Odometer::new(&program, values);
        let ramp = Ramp::new(context.batch().rows);
        Ok(Self { share, ramp, rows, odometer, total, made, end: share.of(total), program })
    }

    /// Adds `count` rows from `position` on, or fewer when the batch is full before.
    fn add(&mut self, position: u64, count: u64, most: usize) -> Result<u64> {
        let Self { program, rows, odometer, .. } = self;
        let urls = match &program.addresses {
            Addresses::Templates(urls) => urls.as_slice(),
            _ => &[],
        };
        if urls.len() <= 1 && program.vars.is_empty() && rows.only_numbers() {
            match program.numbers {
                Some(numbers) => rows.numbers((position..position + count).map(|i| numbers.at(i))),
                None => rows.numbers((position..position + count).map(|i| i as i64 + 1)),
            }
            return Ok(count);
        }
        for done in 0..count {
            if rows.full(most) {
                return Ok(done);
            }
            odometer.go_to(position + done);
            rows.start(odometer.n(), &odometer.cells);
            if let Some(url) = urls.get(odometer.url()) {
                rows.address(url, &program.request, &odometer.cells)?;
            }
        }
        Ok(count)
    }
}

impl Source for Product {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let most = self.ramp.rows();
        let mut left = (most as u64).min(self.end - self.made);
        while left > 0 && !self.rows.full(most) {
            let (position, count) = self.share.run(self.made, left);
            let added = self.add(position, count, most)?;
            self.made += added;
            left -= added;
        }
        if !self.rows.is_empty() {
            out.emit(self.rows.finish()?)?;
        }
        Ok(if self.made >= self.end { Next::Done } else { Next::Now })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let position =
            Position { made: self.made, total: self.total, workers: self.share.instances() };
        Snapshot::of(VERSION, &position)
    }
}

/// The combination at a position: digits of which the last turns fastest, and their values as text.
/// Going on by one changes few digits, and only those are written anew.
struct Odometer {
    /// The number, the variables, the address.
    digits: Vec<u64>,
    sizes: Vec<u64>,
    values: Vec<Values>,
    /// Whether the number is a digit; otherwise it is the position.
    numbered: bool,
    uses: Vec<Uses>,
    cells: Vec<Cell>,
    position: Option<u64>,
}

impl Odometer {
    fn new(program: &Program, vars: Vec<Values>) -> Self {
        let numbers = program.numbers.unwrap_or_else(|| crate::values::Numbers::count(1));
        let mut values = vec![Values::Numbers(numbers)];
        values.extend(vars);
        let mut sizes: Vec<u64> = values.iter().map(Values::len).collect();
        sizes.push(match &program.addresses {
            Addresses::Templates(urls) => urls.len() as u64,
            _ => 1,
        });
        Self {
            digits: vec![0; sizes.len()],
            uses: (0..values.len()).map(|name| Uses::of(program, name)).collect(),
            cells: vec![Cell::default(); values.len()],
            numbered: program.numbers.is_some(),
            position: None,
            sizes,
            values,
        }
    }

    /// The number of the row.
    fn n(&self) -> i64 {
        match &self.values[0] {
            Values::Numbers(numbers) if self.numbered => numbers.at(self.digits[0]),
            // There are fewer than 2^63 rows.
            _ => self.position.unwrap_or(0) as i64 + 1,
        }
    }

    /// Which of the addresses.
    fn url(&self) -> usize {
        self.digits.last().map_or(0, |digit| *digit as usize)
    }

    fn go_to(&mut self, position: u64) {
        let before = self.position.replace(position);
        if before.is_some_and(|before| before + 1 == position) {
            self.step();
        } else {
            let mut rest = position;
            for i in (0..self.digits.len()).rev() {
                let size = self.sizes[i].max(1);
                self.digits[i] = rest % size;
                rest /= size;
                self.write(i);
            }
        }
        if !self.numbered && self.uses[0].raw {
            let n = self.n();
            let cell = &mut self.cells[0];
            cell.raw.clear();
            // Writing into a String does not fail.
            let _ = write!(cell.raw, "{n}");
            self.uses[0].fill(cell);
        }
    }

    fn step(&mut self) {
        for i in (0..self.digits.len()).rev() {
            self.digits[i] += 1;
            let over = self.digits[i] >= self.sizes[i];
            if over {
                self.digits[i] = 0;
            }
            self.write(i);
            if !over {
                return;
            }
        }
    }

    /// Brings the text of a digit up to date.
    fn write(&mut self, i: usize) {
        // The last digit, the address, has no text.
        let (Some(values), Some(uses)) = (self.values.get(i), self.uses.get(i)) else {
            return;
        };
        if uses.raw && (i > 0 || self.numbered) {
            values.write(self.digits[i], &mut self.cells[i].raw);
            uses.fill(&mut self.cells[i]);
        }
    }
}
