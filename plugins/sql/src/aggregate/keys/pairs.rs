//! Numbers of pairs of numbers, in the order of first appearance.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::VACANT;

/// A table of up to so many pairs is looked up without a hash.
const DENSE: usize = 1 << 18;

/// The numbers of pairs. Two columns make pairs of the numbers of their values; a third makes pairs
/// of those and its own, and so on.
pub(crate) struct Pairs {
    /// Both numbers of each pair.
    members: Vec<(u32, u32)>,
    places: Places,
    hasher: DefaultHashBuilder,
}

enum Places {
    /// The number of the pair (a, b) is at `a << bits | b`.
    Table { bits: u32, numbers: Vec<u32> },
    /// Pairs with their numbers.
    Hashed(HashTable<((u32, u32), u32)>),
}

impl Pairs {
    pub(crate) fn new() -> Self {
        Self {
            members: Vec::new(),
            places: Places::Table { bits: 0, numbers: Vec::new() },
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        let places = match &self.places {
            Places::Table { numbers, .. } => numbers.capacity() * size_of::<u32>(),
            Places::Hashed(places) => places.allocation_size(),
        };
        self.members.capacity() * size_of::<(u32, u32)>() + places
    }

    /// Both numbers of each pair.
    pub(crate) fn members(&self) -> &[(u32, u32)] {
        &self.members
    }

    /// Replaces each number of `left` by that of its pair with `right`. There are `lefts` and
    /// `rights` different numbers by now. False when there would be more than `limit` pairs.
    pub(crate) fn find(
        &mut self,
        (left, lefts): (&mut [u32], usize),
        (right, rights): (&[u32], usize),
        limit: usize,
    ) -> bool {
        self.make_room(lefts, rights);
        let Self { members, places, hasher } = self;
        let mut next = |pair| {
            if members.len() >= limit {
                return VACANT;
            }
            members.push(pair);
            u32::try_from(members.len() - 1).unwrap_or(VACANT)
        };
        match places {
            Places::Table { bits, numbers } => {
                for (left, right) in left.iter_mut().zip(right) {
                    let number = &mut numbers[(*left as usize) << *bits | *right as usize];
                    if *number == VACANT {
                        *number = next((*left, *right));
                    }
                    *left = *number;
                }
            }
            Places::Hashed(places) => {
                for (left, right) in left.iter_mut().zip(right) {
                    let pair = (*left, *right);
                    let hash = hash(hasher, pair);
                    *left = match places.find(hash, |(other, _)| *other == pair) {
                        Some((_, number)) => *number,
                        None => {
                            let number = next(pair);
                            let rehash = |entry: &((u32, u32), u32)| self::hash(hasher, entry.0);
                            places.insert_unique(hash, (pair, number), rehash);
                            number
                        }
                    };
                }
            }
        }
        self.members.len() < limit || !left.contains(&VACANT)
    }

    /// Makes the table wide enough for these numbers, or makes hashes of it.
    fn make_room(&mut self, lefts: usize, rights: usize) {
        let Places::Table { bits, numbers } = &mut self.places else { return };
        let wide = rights.next_power_of_two().trailing_zeros().max(*bits);
        if lefts.checked_shl(wide).is_none_or(|size| size > DENSE) || wide > DENSE.trailing_zeros()
        {
            let mut places = HashTable::with_capacity(self.members.len());
            let hasher = &self.hasher;
            for (number, pair) in (0..).zip(&self.members) {
                let rehash = |entry: &((u32, u32), u32)| hash(hasher, entry.0);
                places.insert_unique(hash(hasher, *pair), (*pair, number), rehash);
            }
            self.places = Places::Hashed(places);
        } else if wide > *bits {
            *bits = wide;
            *numbers = vec![VACANT; lefts.next_power_of_two() << wide];
            for (number, (left, right)) in (0..).zip(&self.members) {
                numbers[(*left as usize) << wide | *right as usize] = number;
            }
        } else if numbers.len() < lefts << wide {
            numbers.resize(lefts.next_power_of_two() << wide, VACANT);
        }
    }
}

fn hash(hasher: &DefaultHashBuilder, (left, right): (u32, u32)) -> u64 {
    hasher.hash_one(u64::from(left) << 32 | u64::from(right))
}
