//! A set of keys that knows how much memory it takes.

use gristmill_stage::option::ByteSize;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keys are told apart by this hash. Not by the one that deals rows out to workers: all keys of a
/// worker would be alike in its highest bits.
pub(crate) fn hash(key: &[u8]) -> u64 {
    const SEED: u64 = 0x64_65_64_75_70_65;
    xxh3_64_with_seed(key, SEED)
}

/// All keys that were inserted, each once, in the order of their insertion.
pub(crate) struct Exact {
    /// By the first bits of the hash, so that one of them at a time grows.
    tables: Vec<HashTable<Slot>>,
    /// The keys, each behind its length.
    chunks: Vec<Vec<u8>>,
    chunk: usize,
    len: usize,
    /// Bytes of the chunks and the tables.
    used: usize,
    memory: usize,
}

/// There is no room for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Where a key is, with some bits of its hash.
#[derive(Clone, Copy)]
struct Slot(u64);

const TABLE_BITS: u32 = 6;
/// Bits for the place in a chunk, and bits for the number of the chunk. The rest are of the hash.
const PLACE: u32 = 20;
const CHUNK: u32 = 20;
const LENGTH: usize = size_of::<u32>();

impl Slot {
    fn new(hash: u64, chunk: usize, place: usize) -> Self {
        Self(Self::tag(hash) | (chunk as u64) << PLACE | place as u64)
    }

    /// Bits of the hash that neither choose the table nor the place in it.
    fn tag(hash: u64) -> u64 {
        (hash << 8) & !((1 << (PLACE + CHUNK)) - 1)
    }

    fn may_be(self, hash: u64) -> bool {
        self.0 >> (PLACE + CHUNK) == Self::tag(hash) >> (PLACE + CHUNK)
    }

    fn key(self, chunks: &[Vec<u8>]) -> &[u8] {
        let chunk = (self.0 >> PLACE) & ((1 << CHUNK) - 1);
        let place = self.0 & ((1 << PLACE) - 1);
        chunks.get(chunk as usize).and_then(|chunk| key_at(chunk, place as usize)).unwrap_or(&[])
    }
}

fn key_at(chunk: &[u8], place: usize) -> Option<&[u8]> {
    let (length, rest) = chunk.get(place..)?.split_first_chunk::<LENGTH>()?;
    rest.get(..u32::from_le_bytes(*length) as usize)
}

impl Exact {
    pub(crate) fn new(memory: ByteSize) -> Self {
        let memory = usize::try_from(memory.0).unwrap_or(usize::MAX);
        Self {
            tables: (0..1 << TABLE_BITS).map(|_| HashTable::new()).collect(),
            chunks: Vec::new(),
            chunk: (memory >> 6).clamp(1 << 10, 1 << PLACE),
            len: 0,
            used: 0,
            memory,
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a key. False when it is there already.
    pub(crate) fn insert(&mut self, key: &[u8]) -> Result<bool, Full> {
        let hash = hash(key);
        let table = (hash >> (u64::BITS - TABLE_BITS)) as usize;
        let (chunks, tables) = (&self.chunks, &mut self.tables);
        let same = |slot: &Slot| slot.may_be(hash) && slot.key(chunks) == key;
        if tables[table].find(spread(hash), same).is_some() {
            return Ok(false);
        }
        let place = self.room_for(key.len(), table)?;
        let (chunks, table) = (&mut self.chunks, &mut self.tables[table]);
        let number = chunks.len() - 1;
        let chunk = &mut chunks[number];
        chunk.extend_from_slice(&(key.len() as u32).to_le_bytes());
        chunk.extend_from_slice(key);
        let before = table.allocation_size();
        let again = |slot: &Slot| spread(self::hash(slot.key(&self.chunks)));
        table.insert_unique(spread(hash), Slot::new(hash, number, place), again);
        self.used += table.allocation_size() - before;
        self.len += 1;
        Ok(true)
    }

    /// Where in the last chunk a key of that length goes, and that the table may grow.
    fn room_for(&mut self, length: usize, table: usize) -> Result<usize, Full> {
        let needed = length.saturating_add(LENGTH);
        let table = &self.tables[table];
        // While it grows, the old one is there as well.
        let growth = match table.len() == table.capacity() {
            true => table.allocation_size() * 2 + size_of::<Slot>() * 4,
            false => 0,
        };
        let fits = |chunk: &&Vec<u8>| chunk.capacity() - chunk.len() >= needed;
        let place = self.chunks.last().filter(fits).map(Vec::len);
        let chunk = if place.is_some() { 0 } else { self.chunk.max(needed) };
        let used = self.used.saturating_add(growth).saturating_add(chunk);
        if used > self.memory || u32::try_from(length).is_err() {
            return Err(Full);
        }
        match place {
            Some(place) => Ok(place),
            None if self.chunks.len() >= 1 << CHUNK => Err(Full),
            None => {
                self.chunks.push(Vec::with_capacity(chunk));
                self.used += chunk;
                Ok(0)
            }
        }
    }

    /// All keys in the order of their insertion.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(|chunk| {
            let mut place = 0;
            std::iter::from_fn(move || {
                let key = key_at(chunk, place)?;
                place += LENGTH + key.len();
                Some(key)
            })
        })
    }
}

/// The hash for the place in a table: the bits that chose the table go last.
fn spread(hash: u64) -> u64 {
    hash.rotate_left(TABLE_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(keys in prop::collection::vec(prop::collection::vec(0..4_u8, 0..6), 0..400)) {
            let (mut exact, mut known) = (Exact::new(ByteSize(1 << 20)), HashSet::new());
            let mut order = Vec::new();
            for key in &keys {
                let new = known.insert(key.clone());
                prop_assert_eq!(exact.insert(key), Ok(new));
                order.extend(new.then_some(key.as_slice()));
            }
            prop_assert_eq!(exact.len(), known.len());
            prop_assert_eq!(exact.keys().collect::<Vec<_>>(), order);
        }
    }

    #[test]
    fn it_is_full_before_it_takes_more_than_its_memory() {
        for memory in [0_u64, 1 << 14, 1 << 20, 3 << 20] {
            let mut exact = Exact::new(ByteSize(memory));
            let keys = (0_u64..).map(|n| n.to_le_bytes().repeat(1 + n as usize % 9));
            let full = keys.take(1 << 20).any(|key| exact.insert(&key) == Err(Full));
            let tables: usize = exact.tables.iter().map(HashTable::allocation_size).sum();
            let chunks: usize = exact.chunks.iter().map(Vec::capacity).sum();
            assert!(full && tables + chunks == exact.used, "{memory}");
            assert!(exact.used as u64 <= memory, "{} of {memory}", exact.used);
            // It makes use of most of it.
            assert!(memory < 1 << 16 || exact.used as u64 > memory * 8 / 10, "{}", exact.used);
        }
    }

    #[test]
    fn a_key_may_be_larger_than_a_chunk() {
        let mut exact = Exact::new(ByteSize(8 << 20));
        let large = |n: u8| vec![n; 2 << 20];
        for n in 0..3 {
            assert_eq!(exact.insert(&large(n)), Ok(true));
            assert_eq!(exact.insert(&[n]), Ok(true));
        }
        assert_eq!(exact.insert(&large(1)), Ok(false));
        assert_eq!(exact.insert(&large(9)), Err(Full));
        assert_eq!(exact.insert(&[9]), Ok(true));
        assert_eq!(exact.keys().nth(4), Some(large(2).as_slice()));
    }
}
