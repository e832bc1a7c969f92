//! Latencies counted in buckets, and what is read from them.

/// Counts of events by latency, as `cdc.apply_latency()` gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    buckets: Vec<Bucket>,
}

/// Events that took at most `le_ms`, and longer than the bucket before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Upper bound in milliseconds.
    pub le_ms: f64,
    /// Number of events.
    pub events: u64,
}

impl Histogram {
    /// From buckets in any order.
    #[must_use]
    pub fn new(mut buckets: Vec<Bucket>) -> Self {
        buckets.sort_by(|one, other| one.le_ms.total_cmp(&other.le_ms));
        Self { buckets }
    }

    /// What has been counted since an earlier reading of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let newly = |bucket: &Bucket| Bucket {
            events: bucket.events.saturating_sub(earlier.events_within(bucket.le_ms)),
            ..*bucket
        };
        Self { buckets: self.buckets.iter().map(newly).filter(|bucket| bucket.events > 0).collect() }
    }

    /// The events of the bucket with exactly this bound: bounds come from one formula, so equal ones are identical.
    fn events_within(&self, le_ms: f64) -> u64 {
        self.buckets.iter().find(|bucket| bucket.le_ms == le_ms).map_or(0, |bucket| bucket.events)
    }

    /// Number of events.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.events).sum()
    }

    /// The bound in milliseconds that `share` (0 to 1) of the events did not exceed, the longest with 1;
    /// `None` without events.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (self.total() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().find(|bucket| {
            seen += bucket.events;
            seen >= rank
        });
        reached.map(|bucket| bucket.le_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, u64)]) -> Histogram {
        Histogram::new(buckets.iter().map(|&(le_ms, events)| Bucket { le_ms, events }).collect())
    }

    #[test]
    fn a_percentile_is_the_bound_of_the_bucket_it_falls_into() {
        let hundred = histogram(&[(8.0, 1), (1.0, 50), (2.0, 49)]);
        assert_eq!(hundred.percentile(0.5), Some(1.0));
        assert_eq!(hundred.percentile(0.51), Some(2.0));
        assert_eq!(hundred.percentile(0.99), Some(2.0));
        assert_eq!(hundred.percentile(0.991), Some(8.0));
        assert_eq!(hundred.percentile(1.0), Some(8.0));
    }

    #[test]
    fn one_event_is_every_percentile() {
        let one = histogram(&[(4.0, 1)]);
        assert_eq!([0.0, 0.5, 1.0].map(|share| one.percentile(share)), [Some(4.0); 3]);
    }

    #[test]
    fn nothing_counted_has_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn a_difference_has_only_what_came_since() {
        let earlier = histogram(&[(1.0, 5), (2.0, 1)]);
        let later = histogram(&[(1.0, 5), (2.0, 4), (3.0, 2)]);
        assert_eq!(later.since(&earlier), histogram(&[(2.0, 3), (3.0, 2)]));
        assert_eq!(later.since(&later).total(), 0);
        // Counters that began anew.
        assert_eq!(earlier.since(&later).total(), 0);
    }
}
