//! Chance: for identifiers, and for which traces are recorded.

use std::num::{NonZeroU64, NonZeroU128};

/// SplitMix64. A number costs a few instructions and no system call, so that it can be asked for every
/// batch; that nobody can guess the next is not needed.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// Seeded by the system.
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without a source of chance (which Linux has), identifiers repeat from run to run.
        let _ = getrandom::fill(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True so often, as a share of all times.
    pub(super) fn falls_within(&mut self, share: f64) -> bool {
        // 53 bits are what a fraction has.
        let fraction = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        fraction < share
    }

    pub(super) fn span(&mut self) -> NonZeroU64 {
        NonZeroU64::new(self.next()).unwrap_or(NonZeroU64::MIN)
    }

    pub(super) fn trace(&mut self) -> NonZeroU128 {
        let (high, low) = (self.next(), self.next());
        NonZeroU128::new(u128::from(high) << 64 | u128::from(low)).unwrap_or(NonZeroU128::MIN)
    }
}
