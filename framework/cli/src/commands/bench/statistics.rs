//! What differs and what is noise.
//!
//! Two variants are compared by the exact Mann-Whitney test (H. B. Mann and D. R. Whitney, 1947),
//! which assumes nothing of how times are distributed, ties included. Of all pairs that could be
//! named the winner is one, so all of them count in the correction (S. Holm, 1979): the chance that a
//! table of variants that are all alike calls anything a win is below [`LEVEL`].

/// The chance of a false win that is taken.
pub const LEVEL: f64 = 0.05;
/// Medians nearer than this are not worth a change, whatever the test says.
pub const SMALLEST: f64 = 1.02;

/// The middle of some values; zero when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(high), Some(low)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (Some(value), _) => *value,
        (None, _) => 0.0,
    }
}

/// How likely two samples of one distribution differ as much as these, in either direction. Exact,
/// given the ties.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let ranks = doubled_ranks(a, b);
    let observed: usize = ranks[..a.len()].iter().sum();
    // In how many ways so many of the ranks make each sum.
    let total: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0_f64; total + 1]; a.len() + 1];
    ways[0][0] = 1.0;
    for rank in &ranks {
        for chosen in (1..=a.len()).rev() {
            for sum in (*rank..=total).rev() {
                ways[chosen][sum] += ways[chosen - 1][sum - rank];
            }
        }
    }
    // The middle of all sums; both tails as far from it as what was seen count.
    let middle = total as f64 * a.len() as f64 / ranks.len() as f64;
    let far = (observed as f64 - middle).abs() - 1e-9;
    let all: f64 = ways[a.len()].iter().sum();
    let extreme: f64 = ways[a.len()]
        .iter()
        .enumerate()
        .filter(|(sum, _)| (*sum as f64 - middle).abs() >= far)
        .map(|(_, ways)| ways)
        .sum();
    (extreme / all).min(1.0)
}

/// Twice the rank of each value, those of `a` first; equal ones share the middle of their ranks.
fn doubled_ranks(a: &[f64], b: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| other.total_cmp(value).is_lt()).count();
        let same = all.iter().filter(|other| other.total_cmp(value).is_eq()).count();
        2 * below + same + 1
    };
    all.iter().map(rank).collect()
}

/// Corrects chances for there being so many, after Holm.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|&a, &b| chances[a].total_cmp(&chances[b]));
    let mut corrected = vec![1.0; chances.len()];
    let mut highest = 0.0_f64;
    for (done, index) in order.into_iter().enumerate() {
        let left = (chances.len() - done) as f64;
        highest = highest.max((chances[index] * left).min(1.0));
        corrected[index] = highest;
    }
    corrected
}

/// The measured runs that each of so many variants needs before a difference can show at all; 5 at
/// the least.
pub fn repeats(variants: usize) -> usize {
    let pairs = (variants * variants.saturating_sub(1) / 2) as f64;
    (5..).find(|&runs| smallest(runs) * pairs < LEVEL).unwrap_or(5)
}

/// The smallest chance that two samples of so many runs can give.
fn smallest(runs: usize) -> f64 {
    // Two of all the ways to choose half of the runs.
    2.0 * (1..=runs).map(|i| i as f64 / (runs + i) as f64).product::<f64>()
}

/// All pairs of some samples against each other.
#[derive(Debug, Clone)]
pub struct Comparison {
    medians: Vec<f64>,
    corrected: Vec<Vec<f64>>,
}

impl Comparison {
    /// Compares samples; more is better.
    pub fn of(samples: &[Vec<f64>]) -> Self {
        let pairs: Vec<(usize, usize)> =
            (0..samples.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
        let chances: Vec<f64> =
            pairs.iter().map(|&(a, b)| mann_whitney(&samples[a], &samples[b])).collect();
        let mut corrected = vec![vec![1.0; samples.len()]; samples.len()];
        for ((a, b), chance) in pairs.into_iter().zip(holm(&chances)) {
            corrected[a][b] = chance;
            corrected[b][a] = chance;
        }
        Self { medians: samples.iter().map(|sample| median(sample)).collect(), corrected }
    }

    /// The one with the highest median.
    pub fn highest(&self) -> Option<usize> {
        (0..self.medians.len()).max_by(|&a, &b| self.medians[a].total_cmp(&self.medians[b]))
    }

    /// The corrected chance that two differ by noise only.
    pub fn chance(&self, a: usize, b: usize) -> f64 {
        self.corrected[a][b]
    }

    /// Whether one is better than another, beyond noise.
    pub fn beats(&self, a: usize, b: usize) -> bool {
        self.corrected[a][b] < LEVEL && self.medians[a] > self.medians[b] * SMALLEST
    }

    /// Which to choose: `now`, unless another is better beyond noise. Of those that are, and that
    /// the highest does not beat, the one with the least `cost`.
    pub fn choose<C: Ord>(&self, now: usize, cost: impl Fn(usize) -> C) -> usize {
        let Some(highest) = self.highest() else { return now };
        if !self.beats(highest, now) {
            return now;
        }
        let as_good = |&one: &usize| !self.beats(highest, one) && self.beats(one, now);
        (0..self.medians.len()).filter(as_good).min_by_key(|&one| cost(one)).unwrap_or(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even numbers between 0 and 1, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as f64 / u64::MAX as f64
        }

        /// Rates around a value, with a tail of slow runs, as measured ones have.
        fn rates(&mut self, value: f64, runs: usize) -> Vec<f64> {
            (0..runs)
                .map(|_| {
                    let slow = if self.roll() < 0.1 { 0.7 } else { 1.0 };
                    value * slow * (0.97 + 0.06 * self.roll())
                })
                .collect()
        }
    }

    #[test]
    fn the_test_gives_the_chances_of_the_tables() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 0.1);
        near(mann_whitney(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]), 2.0 / 252.0);
        // U = 4 of 16: 2 * 12 / 70.
        near(mann_whitney(&[1.0, 2.0, 5.0, 6.0], &[3.0, 4.0, 7.0, 8.0]), 24.0 / 70.0);
        near(mann_whitney(&[1.0, 1.0], &[1.0, 1.0, 1.0]), 1.0);
        near(mann_whitney(&[], &[1.0]), 1.0);
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
    }

    #[test]
    fn enough_runs_for_a_difference_to_show() {
        for variants in 2..30 {
            let runs = repeats(variants);
            let sample = |base: usize| (0..runs).map(|i| (base * runs + i) as f64).collect();
            let samples: Vec<Vec<f64>> = (1..=variants).map(sample).collect();
            assert!(Comparison::of(&samples).beats(variants - 1, 0), "{variants}: {runs}");
        }
        assert_eq!((repeats(2), repeats(6)), (5, 6));
    }

    #[test]
    fn noise_is_no_win() {
        let mut dice = Dice(1);
        let false_wins = (0..300).filter(|_| {
            let samples: Vec<_> = (0..6).map(|_| dice.rates(1000.0, 6)).collect();
            let all = Comparison::of(&samples);
            all.choose(0, |one| one) != 0 || (1..6).any(|a| (0..a).any(|b| all.beats(a, b)))
        });
        let false_wins = false_wins.count();
        assert!(false_wins <= 15, "{false_wins} of 300");
    }

    #[test]
    fn a_difference_is_found() {
        let mut dice = Dice(2);
        let found = (0..100).filter(|_| {
            let mut samples: Vec<_> = (0..4).map(|_| dice.rates(1000.0, 8)).collect();
            samples[2] = dice.rates(1600.0, 8);
            Comparison::of(&samples).choose(0, |one| one) == 2
        });
        let found = found.count();
        assert!(found >= 90, "{found} of 100");
    }

    #[test]
    fn the_least_cost_of_those_as_good() {
        let runs = |base: f64| (0..8).map(|i| base + f64::from(i)).collect::<Vec<_>>();
        let samples = [runs(100.0), runs(200.5), runs(201.0), runs(50.0)];
        let all = Comparison::of(&samples);
        assert_eq!(all.highest(), Some(2));
        assert_eq!(all.choose(0, |one| one), 1, "as good as the highest, and first");
        assert_eq!(all.choose(1, |one| one), 1, "what is as good as the highest stays");
    }

    #[test]
    fn a_difference_too_small_to_matter_is_none() {
        let samples = [vec![100.0; 10], vec![101.0; 10]];
        let all = Comparison::of(&samples);
        assert!(all.chance(0, 1) < LEVEL);
        assert!(!all.beats(1, 0));
    }
}
