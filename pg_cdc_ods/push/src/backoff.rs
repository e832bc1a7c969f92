//! How long a failed delivery waits: exponential backoff with full jitter.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Growing pauses between the attempts of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest pause after the first attempt.
    pub base: Duration,
    /// Longest pause after any attempt.
    pub max: Duration,
}

impl Default for Backoff {
    /// 1 s, 2 s, 4 s and so on up to 30 s.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The longest pause after `attempt`, which counts from 1: it doubles with each attempt.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(u32::BITS - 1);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    /// A pause drawn evenly from nothing to the ceiling, so that deliveries that failed together do not come back
    /// together.
    pub fn pause(&self, attempt: u32, rng: &mut impl Rng) -> Duration {
        self.ceiling(attempt).mul_f64(rng.random_range(0.0..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_longest() {
        let backoff = Backoff::default();
        let seconds: Vec<u64> = (0..8).map(|attempt| backoff.ceiling(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.ceiling(u32::MAX), backoff.max);
    }

    #[test]
    fn pauses_spread_over_the_whole_range_and_repeat_with_their_seed() {
        let backoff = Backoff::default();
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..200).map(|_| backoff.pause(3, &mut rng)).collect::<Vec<_>>()
        };
        let pauses = draw(1);
        let ceiling = backoff.ceiling(3);
        assert!(pauses.iter().all(|pause| *pause <= ceiling));
        assert!(pauses.iter().any(|pause| *pause < ceiling / 10), "some come back soon");
        assert!(pauses.iter().any(|pause| *pause > ceiling * 9 / 10), "some come back late");
        assert_eq!(pauses, draw(1));
        assert_ne!(pauses, draw(2));
    }
}
