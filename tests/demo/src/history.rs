//! The last seconds of a run: rates and recent latencies.

use std::collections::VecDeque;
use std::time::Duration;

use harness::histogram::Histogram;

/// Time over which rates and percentiles are taken: long enough for 800 events at the usual rate, so that a 99th
/// percentile has something to stand on, and short enough to show what happens now.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Messages that have come so far on their way. Each total counts from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Taken by the broker.
    pub(crate) published: u64,
    /// Committed in the inbox, as the broker knows from acknowledgements.
    pub(crate) staged: u64,
    /// Applied to ODS tables, those that changed nothing included.
    pub(crate) applied: u64,
    /// Set aside in `cdc.dlq`.
    pub(crate) dead_lettered: u64,
}

impl Counts {
    /// Messages that the apply worker is done with.
    pub(crate) fn settled(&self) -> u64 {
        self.applied + self.dead_lettered
    }

    /// Messages in the inbox. A message may be applied before its acknowledgement has arrived.
    pub(crate) fn pending(&self) -> u64 {
        self.staged.saturating_sub(self.settled())
    }
}

/// The same per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) published: f64,
    pub(crate) staged: f64,
    pub(crate) applied: f64,
    pub(crate) dead_lettered: f64,
}

/// Readings of the last [`WINDOW`].
#[derive(Debug, Default)]
pub(crate) struct History {
    readings: VecDeque<Reading>,
}

/// The counters at one moment.
#[derive(Debug)]
struct Reading {
    at: Duration,
    counts: Counts,
    latency: Histogram,
}

impl History {
    /// Adds a reading made `at` this time since the start, and forgets those that no window begins with any more.
    pub(crate) fn push(&mut self, at: Duration, counts: Counts, latency: Histogram) {
        self.readings.push_back(Reading { at, counts, latency });
        while self.readings.get(1).is_some_and(|next| at.saturating_sub(next.at) >= WINDOW) {
            self.readings.pop_front();
        }
    }

    /// Mean rates of the window; zero before there are two readings.
    pub(crate) fn rates(&self) -> Rates {
        let Some((first, last)) = self.ends() else { return Rates::default() };
        let seconds = (last.at - first.at).as_secs_f64().max(f64::MIN_POSITIVE);
        let rate = |count: fn(&Counts) -> u64| {
            count(&last.counts).saturating_sub(count(&first.counts)) as f64 / seconds
        };
        Rates {
            published: rate(|counts| counts.published),
            staged: rate(|counts| counts.staged),
            applied: rate(|counts| counts.applied),
            dead_lettered: rate(|counts| counts.dead_lettered),
        }
    }

    /// Latencies of the events of the window.
    pub(crate) fn latency(&self) -> Histogram {
        self.ends().map_or_else(Histogram::default, |(first, last)| last.latency.since(&first.latency))
    }

    fn ends(&self) -> Option<(&Reading, &Reading)> {
        (self.readings.len() > 1).then_some(())?;
        self.readings.front().zip(self.readings.back())
    }
}

#[cfg(test)]
mod tests {
    use harness::histogram::Bucket;

    use super::*;

    /// One reading a second, of a stream that publishes 10 a second, each of which took at most 2 ms.
    fn steady(seconds: u64) -> History {
        let mut history = History::default();
        for second in 0..=seconds {
            let events = second * 10;
            let counts = Counts { published: events, ..Counts::default() };
            history.push(
                Duration::from_secs(second),
                counts,
                Histogram::new(vec![Bucket { le_ms: 2.0, events }]),
            );
        }
        history
    }

    #[test]
    fn one_reading_says_nothing_yet() {
        assert_eq!(steady(0).rates(), Rates::default());
        assert_eq!(steady(0).latency().total(), 0);
    }

    #[test]
    fn rates_are_means_of_the_window() {
        assert_eq!(steady(3).rates().published, 10.0);
        assert_eq!(steady(60).rates().published, 10.0);
    }

    #[test]
    fn only_the_window_is_kept() {
        let history = steady(60);
        assert_eq!(history.readings.len(), 11);
        assert_eq!(history.latency().total(), 100);
    }

    #[test]
    fn what_is_applied_before_its_acknowledgement_is_not_pending() {
        let counts = Counts { published: 9, staged: 5, applied: 5, dead_lettered: 1 };
        assert_eq!((counts.settled(), counts.pending()), (6, 0));
    }
}
