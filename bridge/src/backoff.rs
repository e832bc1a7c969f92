//! Growing pauses between attempts.

use std::time::Duration;

use rand::RngExt;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Longest pause: an outage that ends is noticed within it.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that double from 100 ms to 10 s. Each is drawn from its upper half, so that many bridges that lost the
/// same server do not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The pause to make before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let ceiling = self.next;
        self.next = (ceiling * 2).min(LONGEST);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_in_their_upper_half() {
        let mut backoff = Backoff::default();
        let mut ceiling = FIRST;
        for _ in 0..12 {
            let pause = backoff.pause();
            assert!(pause >= ceiling / 2 && pause <= ceiling, "{pause:?} of {ceiling:?}");
            ceiling = (ceiling * 2).min(LONGEST);
        }
        assert_eq!(ceiling, LONGEST);
    }
}
