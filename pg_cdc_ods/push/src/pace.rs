//! The rate limit of one endpoint.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How far requests may run ahead of an even pace. Timers are some milliseconds late; without it, a high rate would
/// never be reached.
const AHEAD: Duration = Duration::from_millis(50);

/// An even pace of requests, with a small burst (the generic cell rate algorithm of ITU-T I.371).
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// When the next request would be due if all had been even.
    due: Instant,
}

impl Pace {
    /// A pace of at most `max_rate` requests a second.
    pub(crate) fn new(max_rate: NonZeroU32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / max_rate.get(), due: now }
    }

    /// How long the next request must wait; zero if it may go now.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now + AHEAD)
    }

    /// A request is made.
    pub(crate) fn begun(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests made in a second by one who asks every millisecond.
    fn requests_in_a_second(rate: u32) -> u32 {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(rate).unwrap(), start);
        let mut requests = 0;
        for milliseconds in 0..1000 {
            let now = start + Duration::from_millis(milliseconds);
            while pace.wait(now).is_zero() {
                pace.begun(now);
                requests += 1;
            }
        }
        requests
    }

    #[test]
    fn the_rate_is_reached_and_passed_by_no_more_than_the_burst() {
        assert_eq!(requests_in_a_second(1), 2, "the second one within the burst of the end");
        assert_eq!(requests_in_a_second(10), 11);
        assert_eq!(requests_in_a_second(4000), 4197);
    }

    #[test]
    fn time_without_requests_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(2).unwrap(), start);
        let later = start + Duration::from_secs(3600);
        pace.begun(later);
        assert_eq!(pace.wait(later), Duration::from_millis(450));
    }
}
