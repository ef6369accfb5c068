//! A set of keys that may take a new key for an old one, seldom, and needs little memory.

use fastbloom::BloomFilter;
use gristmill_stage::option::ByteSize;

use crate::exact::Full;

/// Bloom filters, each larger and more careful than the one before (Almeida et al., 2007), so that
/// the memory grows with the keys and the rate holds for all of them together.
pub(crate) struct Bloom {
    rate: f64,
    memory: usize,
    layers: Vec<Layer>,
}

/// One of the filters.
pub(crate) struct Layer {
    filter: BloomFilter,
    /// Keys that it may hold, and those that it holds.
    pub(crate) room: u64,
    pub(crate) len: u64,
}

/// Keys in the first filter.
const FIRST: u64 = 1 << 14;

impl Bloom {
    /// A set that takes a new key for an old one at the most at this rate.
    pub(crate) fn new(rate: f64, memory: ByteSize) -> Self {
        let memory = usize::try_from(memory.0).unwrap_or(usize::MAX);
        Self { rate, memory, layers: Vec::new() }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.layers.iter().map(|layer| layer.len).sum()
    }

    /// Adds a key by its hash. False when it is, probably, there already.
    pub(crate) fn insert(&mut self, hash: u64) -> Result<bool, Full> {
        if self.layers.iter().any(|layer| layer.filter.contains_hash(hash)) {
            return Ok(false);
        }
        if self.layers.last().is_none_or(|layer| layer.len >= layer.room) {
            let layer = self.next_layer()?;
            self.layers.push(layer);
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.filter.insert_hash(hash);
            layer.len += 1;
        }
        Ok(true)
    }

    /// The next filter: twice the size, or what there is memory for.
    fn next_layer(&self) -> Result<Layer, Full> {
        let used: usize = self.layers.iter().map(|layer| layer.words().len() * 8).sum();
        let left = self.memory.saturating_sub(used);
        // Each has half of the rate that is left, so that all have no more than the rate.
        let rate = self.rate / (1_u64 << (self.layers.len() + 1).min(40)) as f64;
        let bits_per_key = -rate.ln() / (std::f64::consts::LN_2 * std::f64::consts::LN_2);
        let wanted = FIRST << self.layers.len().min(40);
        let room = wanted.min((left as f64 * 8.0 / bits_per_key) as u64);
        // A last one that is much smaller than those before would only put the end off.
        if room < FIRST.min(wanted / 16).max(1) {
            return Err(Full);
        }
        let words = ((room as f64 * bits_per_key) as usize / 64).max(1);
        let hashes = (bits_per_key * std::f64::consts::LN_2).round().max(1.0) as u32;
        Ok(Layer { filter: BloomFilter::from_vec(vec![0; words]).hashes(hashes), room, len: 0 })
    }

    /// The filters.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Adds a filter as it was.
    pub(crate) fn restore(&mut self, words: Vec<u64>, hashes: u32, room: u64, len: u64) {
        if !words.is_empty() {
            let filter = BloomFilter::from_vec(words).hashes(hashes);
            self.layers.push(Layer { filter, room, len });
        }
    }
}

impl Layer {
    /// The bits.
    pub(crate) fn words(&self) -> &[u64] {
        self.filter.as_slice()
    }

    /// How many bits a key has.
    pub(crate) fn hashes(&self) -> u32 {
        self.filter.num_hashes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::hash;

    #[test]
    fn an_old_key_is_known_and_few_new_ones_seem_old() {
        for rate in [0.1, 0.01, 0.0001] {
            let mut bloom = Bloom::new(rate, ByteSize(8 << 20));
            let keys = 200_000_u64;
            let taken = (0..keys).filter(|n| bloom.insert(hash(&n.to_le_bytes())) == Ok(true));
            let mistaken = keys - taken.count() as u64;
            assert!((mistaken as f64) < keys as f64 * rate, "{mistaken} at {rate}");
            assert_eq!(bloom.len(), keys - mistaken);
            let again = (0..keys).filter(|n| bloom.insert(hash(&n.to_le_bytes())) == Ok(true));
            assert_eq!(again.count(), 0);
        }
    }

    #[test]
    fn it_is_full_before_it_takes_more_than_its_memory() {
        for memory in [0, 100, 1 << 12, 1 << 16, 1 << 20] {
            let mut bloom = Bloom::new(0.01, ByteSize(memory));
            let full = (0_u64..1 << 22).any(|n| bloom.insert(hash(&n.to_le_bytes())) == Err(Full));
            let bytes: usize = bloom.layers.iter().map(|layer| layer.words().len() * 8).sum();
            assert!(full && bytes as u64 <= memory, "{bytes} of {memory}");
            assert!(memory < 1 << 16 || bytes as u64 > memory / 2, "{bytes} of {memory}");
        }
    }
}
