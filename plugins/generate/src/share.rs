//! Which rows are a worker's own, and how many to make at a time.

/// Rows that are dealt out together. Small, so that a few hundred rows reach all workers.
const BLOCK: u64 = 64;

/// The rows, out of all of them, that one of several workers makes: every so many blocks one.
/// Every row belongs to exactly one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    instance: u64,
    instances: u64,
}

impl Share {
    pub(crate) fn new(instance: usize, instances: usize) -> Self {
        Self { instance: instance as u64, instances: instances.max(1) as u64 }
    }

    pub(crate) fn instances(self) -> u64 {
        self.instances
    }

    /// Whether the row at `position` is its own.
    pub(crate) fn owns(self, position: u64) -> bool {
        (position / BLOCK) % self.instances == self.instance
    }

    /// How many of `total` rows are its own.
    pub(crate) fn of(self, total: u64) -> u64 {
        if self.instances == 1 {
            return total;
        }
        let (blocks, rest) = (total / BLOCK, total % BLOCK);
        let (rounds, over) = (blocks / self.instances, blocks % self.instances);
        let full = rounds + u64::from(self.instance < over);
        full * BLOCK + if self.instance == over { rest } else { 0 }
    }

    /// The longest run of positions that follow one another, from its own row `index` on and with
    /// at the most `most` rows: the first position and the number.
    pub(crate) fn run(self, index: u64, most: u64) -> (u64, u64) {
        if self.instances == 1 {
            return (index, most);
        }
        let (block, offset) = (index / BLOCK, index % BLOCK);
        ((block * self.instances + self.instance) * BLOCK + offset, most.min(BLOCK - offset))
    }
}

/// How many rows to put in the next batch. The first ones are small, so that what comes after has
/// something to do at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    next: usize,
    full: usize,
}

impl Ramp {
    pub(crate) fn new(full: usize) -> Self {
        let full = full.max(1);
        Self { next: full.min(64), full }
    }

    pub(crate) fn rows(&mut self) -> usize {
        let rows = self.next;
        self.next = rows.saturating_mul(2).min(self.full);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_owner() {
        for instances in 1..5 {
            for total in [0, 1, 63, 64, 65, 128, 1000, 64 * 7 + 3] {
                let mut seen = vec![0; total as usize];
                for instance in 0..instances {
                    let share = Share::new(instance, instances);
                    let (mut index, end) = (0, share.of(total));
                    while index < end {
                        let (position, rows) = share.run(index, (end - index).min(50));
                        for p in position..position + rows {
                            assert!(share.owns(p));
                            seen[p as usize] += 1;
                        }
                        index += rows;
                    }
                }
                assert!(seen.iter().all(|n| *n == 1), "{instances} workers, {total} rows");
            }
        }
    }

    #[test]
    fn batches_grow() {
        let mut ramp = Ramp::new(200);
        assert_eq!([ramp.rows(), ramp.rows(), ramp.rows(), ramp.rows()], [64, 128, 200, 200]);
        assert_eq!(Ramp::new(0).rows(), 1);
    }
}
