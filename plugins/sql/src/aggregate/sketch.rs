//! What is kept of the values of one group to tell its quantiles: a t-digest, and the last values in
//! front of it.
//!
//! A digest is merged with many values at once, when enough have come: to merge it costs as much for
//! one value as for some hundred. When that happens depends on the values alone and not on the
//! batches in which they came, so that results do not, either.

use datafusion_common::{DataFusionError, exec_err};
use datafusion_functions_aggregate_common::tdigest::{Centroid, TDigest};

/// How many values wait in front of a digest.
const PENDING: usize = 256;

/// The values of one group.
#[derive(Default)]
pub(crate) struct Sketch {
    /// Finite values that are not in the digest yet; each with its weight after it if there are
    /// weights.
    pending: Vec<f64>,
    digest: Option<Box<TDigest>>,
    beyond: Beyond,
}

/// The weight of what a digest, which computes means, cannot take.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Beyond {
    /// Of negative infinity.
    pub(crate) low: f64,
    /// Of infinity.
    pub(crate) high: f64,
    /// Of NaN, which is greater than all numbers, as in ORDER BY.
    pub(crate) nan: f64,
}

/// What a sketch is taken apart into.
pub(crate) struct Parts {
    /// Sum, weight, maximum, minimum of the digest; then mean and weight of each of its centroids.
    /// Empty without a digest.
    pub(crate) digest: Vec<f64>,
    pub(crate) pending: Vec<f64>,
    pub(crate) beyond: Beyond,
}

impl Sketch {
    /// Takes a value that weighs one. A sketch takes values with weights or without, never both.
    #[inline]
    pub(crate) fn add(&mut self, value: f64, centroids: usize) {
        if !value.is_finite() {
            return self.add_beyond(value, 1.0);
        }
        if self.pending.len() >= PENDING {
            self.flush(centroids);
        }
        self.pending.push(value);
    }

    /// Takes a value with its weight. One that does not weigh anything, or nothing that can be
    /// counted, does not count.
    pub(crate) fn add_weighted(&mut self, value: f64, weight: f64, centroids: usize) {
        if !(weight > 0.0 && weight.is_finite()) {
            return;
        }
        if !value.is_finite() {
            return self.add_beyond(value, weight);
        }
        if self.pending.len() >= 2 * PENDING {
            self.flush_weighted(centroids);
        }
        self.pending.extend([value, weight]);
    }

    #[cold]
    fn add_beyond(&mut self, value: f64, weight: f64) {
        let Beyond { low, high, nan } = &mut self.beyond;
        *(match value {
            _ if value.is_nan() => nan,
            _ if value < 0.0 => low,
            _ => high,
        }) += weight;
    }

    fn flush(&mut self, centroids: usize) {
        self.pending.sort_unstable_by(f64::total_cmp);
        let digest = match &self.digest {
            Some(digest) => digest.merge_sorted_f64(&self.pending),
            None => TDigest::new(centroids).merge_sorted_f64(&self.pending),
        };
        self.digest = Some(Box::new(digest));
        self.pending.clear();
    }

    fn flush_weighted(&mut self, centroids: usize) {
        let pairs = self.pending.chunks_exact(2);
        let one =
            |pair: &[f64]| TDigest::new_with_centroid(centroids, Centroid::new(pair[0], pair[1]));
        let new: Vec<TDigest> = pairs.map(one).collect();
        let merged = TDigest::merge_digests(self.digest.as_deref().into_iter().chain(&new));
        self.digest = Some(Box::new(merged));
        self.pending.clear();
    }

    /// Adds what another sketch has taken.
    pub(crate) fn merge(&mut self, other: Self, weighted: bool, centroids: usize) {
        if let Some(digest) = other.digest {
            self.digest = Some(match self.digest.take() {
                Some(own) => Box::new(TDigest::merge_digests([&*own, &*digest])),
                None => digest,
            });
        }
        if weighted {
            let pairs = other.pending.chunks_exact(2);
            pairs.for_each(|pair| self.add_weighted(pair[0], pair[1], centroids));
        } else {
            other.pending.iter().for_each(|value| self.add(*value, centroids));
        }
        self.beyond.low += other.beyond.low;
        self.beyond.high += other.beyond.high;
        self.beyond.nan += other.beyond.nan;
    }

    /// The value below which is this share of the weight; none without values.
    pub(crate) fn quantile(mut self, share: f64, weighted: bool, centroids: usize) -> Option<f64> {
        match self.pending.is_empty() {
            true => {}
            false if weighted => self.flush_weighted(centroids),
            false => self.flush(centroids),
        }
        let Beyond { low, high, nan } = self.beyond;
        let finite = self.digest.as_ref().map_or(0.0, |digest| digest.count());
        let all = low + finite + high + nan;
        let rank = share * all - low;
        Some(match self.digest {
            _ if all == 0.0 => return None,
            _ if low > 0.0 && rank < 0.0 => f64::NEG_INFINITY,
            Some(digest) if rank <= finite => digest.estimate_quantile((rank / finite).max(0.0)),
            _ if rank <= finite + high && high > 0.0 => f64::INFINITY,
            _ if nan > 0.0 => f64::NAN,
            // Only negative infinity, and a share of one.
            _ => f64::NEG_INFINITY,
        })
    }

    pub(crate) fn into_parts(self) -> Parts {
        let digest = self.digest.map_or_else(Vec::new, |digest| {
            let head = [digest.sum(), digest.count(), digest.max(), digest.min()];
            let centroids = digest.centroids().iter().flat_map(|c| [c.mean(), c.weight()]);
            head.into_iter().chain(centroids).collect()
        });
        Parts { digest, pending: self.pending, beyond: self.beyond }
    }

    /// # Errors
    /// When these are no parts of a sketch.
    pub(crate) fn from_parts(parts: Parts, centroids: usize) -> Result<Self, DataFusionError> {
        let Parts { digest, pending, beyond } = parts;
        let digest = match digest.as_slice() {
            [] => None,
            [sum, count, max, min, rest @ ..] if rest.len() % 2 == 0 => {
                let rest = rest.chunks_exact(2).map(|c| Centroid::new(c[0], c[1])).collect();
                let digest = TDigest::try_from_parts(centroids, *sum, *count, *max, *min, rest)?;
                Some(Box::new(digest))
            }
            _ => return exec_err!("half a digest"),
        };
        Ok(Self { pending, digest, beyond })
    }

    /// The bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        let digest = self.digest.as_ref().map_or(0, |digest| digest.size());
        size_of::<Self>() + self.pending.capacity() * size_of::<f64>() + digest
    }
}
