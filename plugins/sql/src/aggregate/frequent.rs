//! What is kept of the values of one group to tell the most frequent of them.
//!
//! Counters of some values, and what was taken off all of them: when there are twice as many as wanted,
//! the count of the one in the middle is taken off each, and those without any count left go. That is
//! the algorithm of Misra and Gries (1982) with the lazy removal of Anderson et al. (2017). Every removal takes
//! its count off `most` counters at the least, so that all removals together take off no more than the
//! number of values divided by `most`; that holds also for counters that were merged. Neither the batches
//! in which values came nor the order of a map has a say in what is kept.

use hashbrown::HashMap;

/// Counters of values, of which the bytes are kept.
#[derive(Debug, Default)]
pub(crate) struct Frequent {
    counters: HashMap<Box<[u8]>, u64>,
    /// By how much a count, or the lack of a counter, may be too low.
    error: u64,
}

impl Frequent {
    /// Counts a value so many times more.
    pub(crate) fn add(&mut self, value: &[u8], count: u64, most: usize) {
        if let Some(counter) = self.counters.get_mut(value) {
            *counter = counter.saturating_add(count);
            return;
        }
        if self.counters.len() >= 2 * most {
            self.reduce(most);
        }
        self.counters.insert(value.into(), count);
    }

    /// Leaves less than `most` counters.
    fn reduce(&mut self, most: usize) {
        let mut counts: Vec<u64> = self.counters.values().copied().collect();
        let (_, middle, _) = counts.select_nth_unstable_by(most - 1, |a, b| b.cmp(a));
        let middle = *middle;
        self.counters.retain(|_, count| {
            *count = count.saturating_sub(middle);
            *count > 0
        });
        self.error = self.error.saturating_add(middle);
    }

    /// Says that counts may be too low by so much more.
    pub(crate) fn doubt(&mut self, error: u64) {
        self.error = self.error.saturating_add(error);
    }

    /// By how much a count may be too low.
    pub(crate) const fn error(&self) -> u64 {
        self.error
    }

    /// The counters, in no order.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.counters.iter().map(|(value, count)| (&**value, *count))
    }

    /// The values with the greatest counts, the greatest first; of equal counts, the lesser value.
    pub(crate) fn top(&self, k: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> = self.counters().collect();
        all.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        all.truncate(k);
        all
    }

    /// The bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        let entries = self.counters.capacity() * size_of::<(Box<[u8]>, u64)>();
        entries + self.counters.keys().map(|value| value.len()).sum::<usize>()
    }
}
