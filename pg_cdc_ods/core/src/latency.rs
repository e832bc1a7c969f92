//! How long messages took, counted in buckets: exact counts, times to within a fifth, a few hundred bytes.

/// Upper bound of the first bucket, in microseconds.
const FIRST_MICROS: f64 = 100.0;
/// Buckets for each doubling of the time: a bucket ends 19 % above the one before.
const BUCKETS_PER_DOUBLING: f64 = 4.0;
/// The last but one ends at 5.3 hours; the last has no end.
const BUCKETS: usize = 112;

/// Counts of times. Plain data of fixed size, fit for shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyHistogram {
    counts: [i64; BUCKETS],
}

impl LatencyHistogram {
    /// A histogram that has counted nothing.
    pub const EMPTY: Self = Self { counts: [0; BUCKETS] };

    /// Counts one time in microseconds. A negative one, from clocks that disagree, counts as none.
    pub fn record(&mut self, micros: i64) {
        let place = ((micros.max(1) as f64 / FIRST_MICROS).log2() * BUCKETS_PER_DOUBLING).ceil();
        let bucket = (place.max(0.0) as usize).min(BUCKETS - 1);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// The buckets that counted anything: upper bound in milliseconds, infinite for the last, and the count of times
    /// at most that and above the bound of the bucket before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, i64)> {
        let counts = self.counts.into_iter().enumerate();
        counts.filter(|(_, count)| *count > 0).map(|(bucket, count)| (upper_bound_ms(bucket), count))
    }
}

fn upper_bound_ms(bucket: usize) -> f64 {
    if bucket == BUCKETS - 1 {
        return f64::INFINITY;
    }
    FIRST_MICROS / 1000.0 * (bucket as f64 / BUCKETS_PER_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket_of(micros: i64) -> f64 {
        let mut histogram = LatencyHistogram::EMPTY;
        histogram.record(micros);
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets.len(), 1);
        buckets[0].0
    }

    #[test]
    fn short_and_long_times_have_a_bucket() {
        for micros in [i64::MIN, -1, 0, 1, 100] {
            assert_eq!(bucket_of(micros), 0.1);
        }
        assert_eq!(bucket_of(800), 0.8);
        assert_eq!(bucket_of(i64::MAX), f64::INFINITY);
    }

    #[test]
    fn counts_add_up() {
        let mut one = LatencyHistogram::EMPTY;
        one.record(50);
        one.record(790);
        let mut sum = one;
        sum.add(&one);
        assert_eq!(sum.buckets().collect::<Vec<_>>(), [(0.1, 2), (0.8, 2)]);
    }

    proptest! {
        #[test]
        fn a_bucket_ends_at_most_a_fifth_above_its_times(micros in 100_i64..3_600_000_000) {
            let (bound, millis) = (bucket_of(micros), micros as f64 / 1000.0);
            prop_assert!(bound >= millis * 0.999_999 && bound <= millis * 1.2, "{millis} in {bound}");
        }
    }
}
