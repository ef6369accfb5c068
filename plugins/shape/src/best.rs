//! The first rows, by a key, of each of some groups.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_row::Rows;
use arrow_select::take::take_record_batch;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{Error, Result};

use crate::ordered::{Place, gather};
use crate::weigh::total;

/// At the most so many rows of each group: those with the smallest keys, and of equal ones those that
/// came first.
pub(crate) struct Best {
    most: usize,
    memory: ByteSize,
    groups: Vec<BinaryHeap<Entry>>,
    /// Where the row of an entry is, under the number that the entry has.
    places: Vec<Place>,
    free: Vec<usize>,
    batches: Vec<RecordBatch>,
    /// Bytes and rows of the batches, with rows that are no longer among the best.
    bytes: usize,
    rows: usize,
    /// Bytes of the keys.
    keys: usize,
    /// How many rows have come.
    come: u64,
}

/// What decides whether the rows of a batch are among the best.
pub(crate) struct Ranked {
    /// The number of each row's group; of one group when there are none.
    pub(crate) groups: Option<Vec<usize>>,
    pub(crate) keys: RankKeys,
}

/// The keys of the rows of a batch.
pub(crate) enum RankKeys {
    Rows(Rows),
    Numbers(Vec<[u8; 8]>),
}

impl Ranked {
    fn group(&self, row: usize) -> usize {
        self.groups.as_ref().map_or(0, |groups| groups[row])
    }

    fn key(&self, row: usize) -> &[u8] {
        match &self.keys {
            RankKeys::Rows(rows) => rows.row(row).data(),
            RankKeys::Numbers(numbers) => &numbers[row],
        }
    }
}

/// A row that is among the best.
pub(crate) struct Entry {
    key: Box<[u8]>,
    /// Its place among all rows.
    pub(crate) number: u64,
    place: usize,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.number.cmp(&other.number))
    }
}

/// The number of the batch in hand, while it is not among the others.
const IN_HAND: usize = usize::MAX;
/// What an entry takes besides its key: itself, its place, and the head of its allocation.
const OVERHEAD: usize = size_of::<Entry>() + size_of::<Place>() + 16;
/// What a group takes besides its rows: its heap, and its number under its key.
const GROUP: usize = size_of::<BinaryHeap<Entry>>() + 64;
/// So many rows that are no longer among the best are not worth a copy of the others.
const STALE: usize = 8192;
/// Rows that are copied into one batch, and their bytes, about.
const PIECE_ROWS: usize = 65_536;
const PIECE_BYTES: usize = 64 << 20;

impl Best {
    pub(crate) fn new(most: usize, memory: ByteSize) -> Self {
        Self {
            most,
            memory,
            groups: Vec::new(),
            places: Vec::new(),
            free: Vec::new(),
            batches: Vec::new(),
            bytes: 0,
            rows: 0,
            keys: 0,
            come: 0,
        }
    }

    /// How many rows have come.
    pub(crate) fn come(&self) -> u64 {
        self.come
    }

    /// Says how many rows have come, also of those that were not kept.
    pub(crate) fn set_come(&mut self, come: u64) {
        self.come = come;
    }

    /// Adds the rows of a batch: their groups, keys, and places among all rows.
    ///
    /// # Errors
    /// When the best rows take more than the memory.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        ranked: &Ranked,
        numbers: &[u64],
    ) -> Result<()> {
        let mut taken = Vec::new();
        for (row, number) in numbers.iter().enumerate() {
            self.come = number.saturating_add(1);
            if let Some(place) = self.offer(ranked.group(row), ranked.key(row), *number) {
                self.places[place] = (IN_HAND, row);
                taken.push(place);
            }
        }
        self.keep(batch, taken)?;
        if self.rows > self.live().saturating_mul(2).saturating_add(STALE)
            || self.used() > self.memory.0 as usize
        {
            self.compact()?;
        }
        match self.used() > self.memory.0 as usize {
            true => Err(self.too_much()),
            false => Ok(()),
        }
    }

    /// The place for a row, if it is among the best.
    fn offer(&mut self, group: usize, key: &[u8], number: u64) -> Option<usize> {
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, BinaryHeap::new);
        }
        let heap = &mut self.groups[group];
        let place = if heap.len() < self.most {
            self.free.pop().unwrap_or_else(|| {
                self.places.push((IN_HAND, 0));
                self.places.len() - 1
            })
        } else {
            let worst = heap.peek().filter(|worst| key < &*worst.key)?.place;
            let gone = heap.pop()?;
            self.keys -= gone.key.len();
            worst
        };
        self.keys += key.len();
        heap.push(Entry { key: key.into(), number, place });
        Some(place)
    }

    /// Copies the rows of the batch in hand that are still among the best.
    fn keep(&mut self, batch: &RecordBatch, mut taken: Vec<usize>) -> Result<()> {
        taken.sort_unstable();
        taken.dedup();
        if taken.is_empty() {
            return Ok(());
        }
        let rows: Vec<u64> = taken.iter().map(|place| self.places[*place].1 as u64).collect();
        let kept = take_record_batch(batch, &UInt64Array::from(rows))?;
        for (row, place) in taken.into_iter().enumerate() {
            self.places[place] = (self.batches.len(), row);
        }
        self.push(kept);
        Ok(())
    }

    fn push(&mut self, batch: RecordBatch) {
        self.bytes += total(&batch);
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    fn live(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn used(&self) -> usize {
        let groups = self.groups.len() * GROUP;
        self.bytes + self.keys + self.live() * OVERHEAD + groups
    }

    /// Copies the best rows and lets go of the others.
    fn compact(&mut self) -> Result<()> {
        let each: Vec<usize> =
            self.batches.iter().map(|batch| total(batch) / batch.num_rows().max(1)).collect();
        let mut live: Vec<usize> = self.groups.iter().flatten().map(|entry| entry.place).collect();
        live.sort_unstable_by_key(|place| self.places[*place]);
        let old = std::mem::take(&mut self.batches);
        (self.bytes, self.rows) = (0, 0);
        let mut rest = &live[..];
        while !rest.is_empty() {
            let weights = rest.iter().map(|place| each[self.places[*place].0]);
            let rows = crate::weigh::fit(weights, PIECE_ROWS, PIECE_BYTES);
            let (now, later) = rest.split_at(rows);
            let places: Vec<Place> = now.iter().map(|place| self.places[*place]).collect();
            for (row, place) in now.iter().enumerate() {
                self.places[*place] = (self.batches.len(), row);
            }
            self.push(gather(&old, &places)?);
            rest = later;
        }
        Ok(())
    }

    fn too_much(&self) -> Error {
        let (rows, memory) = (self.live(), self.memory);
        Error::data(format!("the {rows} rows that are kept take more than `memory`, {memory}"))
            .help("keep fewer rows or columns, or raise `memory`")
    }

    /// The best rows, each with the number of its group, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, &Entry, Place)> {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(move |(group, heap)| {
            heap.iter().map(move |entry| (group, entry, self.places[entry.place]))
        })
    }

    /// The best rows in the order in which they came, with the place of each among all rows.
    pub(crate) fn by_arrival(&self) -> Result<Option<(RecordBatch, Vec<u64>)>> {
        let mut rows: Vec<(u64, Place)> =
            self.entries().map(|(_, entry, place)| (entry.number, place)).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        rows.sort_unstable();
        let (numbers, places): (Vec<u64>, Vec<Place>) = rows.into_iter().unzip();
        Ok(Some((gather(&self.batches, &places)?, numbers)))
    }

    /// The batches that places point into.
    pub(crate) fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }
}
