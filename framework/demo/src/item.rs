//! What the shop sells. An item depends on its number and on nothing else.

/// The categories of the shop.
pub const CATEGORIES: [&str; 12] = [
    "baking", "books", "camping", "coffee", "garden", "kitchen", "lighting", "music", "office",
    "pets", "tools", "toys",
];

const QUALITIES: [&str; 16] = [
    "Sturdy",
    "Quiet",
    "Folding",
    "Hand-made",
    "Compact",
    "Classic",
    "Light",
    "Heavy-duty",
    "Fine",
    "Plain",
    "Painted",
    "Double",
    "Portable",
    "Large",
    "Small",
    "Antique",
];

const MATERIALS: [&str; 12] = [
    "Oak", "Steel", "Copper", "Linen", "Glass", "Stone", "Wool", "Cork", "Brass", "Bamboo",
    "Leather", "Clay",
];

const THINGS: [&str; 16] = [
    "Grinder", "Kettle", "Lamp", "Basket", "Mill", "Bench", "Clock", "Tent", "Drum", "Shelf",
    "Mug", "Rake", "Bell", "Tray", "Stool", "Lantern",
];

const TAGS: [&str; 12] = [
    "new",
    "sale",
    "gift",
    "eco",
    "handmade",
    "limited",
    "bestseller",
    "outdoor",
    "indoor",
    "spare-part",
    "vintage",
    "bulk",
];

/// One thing that the shop sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The number in its address.
    pub number: u64,
    /// The heading of its page; different for every item.
    pub title: String,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// The price in cents, 100 to 49,999.
    pub cents: u64,
    /// The rating in tenths, 10 to 50.
    pub rating: u64,
    /// How many are left, 0 to 199.
    pub stock: u64,
    /// One to four tags, each once.
    pub tags: Vec<&'static str>,
}

impl Item {
    /// The greatest number of an item.
    pub const LAST: u64 = 1_000_000;

    /// The item of that number.
    pub fn new(number: u64) -> Self {
        let mut dice = Dice(number);
        let title = format!(
            "{} {} {} No. {number}",
            dice.pick(&QUALITIES),
            dice.pick(&MATERIALS),
            dice.pick(&THINGS)
        );
        let category = dice.pick(&CATEGORIES);
        let cents = 100 + dice.below(49_900);
        let rating = 10 + dice.below(41);
        let stock = dice.below(200);
        let first = dice.below(TAGS.len() as u64) as usize;
        let count = 1 + dice.below(4) as usize;
        // A step of 5 visits all 12 tags before one comes again.
        let tags = (0..count).map(|i| TAGS[(first + 5 * i) % TAGS.len()]).collect();
        Self { number, title, category, cents, rating, stock, tags }
    }

    /// The price as the page shows it: `12.34`.
    pub fn price(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

/// Numbers that look random and follow from a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number from 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn items_are_stable_and_spread_over_all_categories() {
        assert_eq!(Item::new(7), Item::new(7));
        let items: Vec<Item> = (1..=2000).map(Item::new).collect();
        for category in CATEGORIES {
            let count = items.iter().filter(|item| item.category == category).count();
            assert!((100..240).contains(&count), "{category}: {count}");
        }
        let titles: BTreeSet<&str> = items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!(titles.len(), items.len());
        for item in &items {
            let tags: BTreeSet<_> = item.tags.iter().collect();
            assert_eq!(tags.len(), item.tags.len());
            assert!((100..50_000).contains(&item.cents) && (10..=50).contains(&item.rating));
        }
    }

    #[test]
    fn prices_have_two_decimals() {
        let item = Item { cents: 1205, ..Item::new(1) };
        assert_eq!(item.price(), "12.05");
    }
}
