//! How far to look for the keys that a put-off change makes dirty, so that a look costs no more than what it finds.

use std::time::Duration;

/// How much of a change that concerns many keys is looked at in one go.
///
/// A look at a short stretch of the enriched table is quick where an index leads to its keys. Where it finds few of them,
/// or takes as long however short the stretch is, the next one takes in more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Rows of the enriched table that it passes.
    pub rows: i64,
    /// Keys that it gives at most; if there are more, the next look begins where they end.
    pub keys: i64,
}

impl Look {
    /// The first look at a change.
    #[must_use]
    pub fn short(keys: i64) -> Self {
        Self { rows: keys, keys }
    }

    /// The look that follows one that found so many keys. `looking` is the time it took, `making` the time that it takes
    /// to make these keys' rows anew. It is not shorter than `shortest`, and gives no more than `most_keys`.
    #[must_use]
    pub fn next(
        self,
        found: i64,
        looking: Duration,
        making: Duration,
        shortest: i64,
        most_keys: i64,
    ) -> Self {
        let is_full = found >= self.keys;
        let has_ended_early = is_full && self.rows > self.keys;
        let Self { rows, keys } = if looking <= making || has_ended_early {
            if is_full { Self { rows: self.rows / 2, keys: self.keys / 2 } } else { self }
        } else if is_full {
            Self { rows: self.rows.saturating_mul(2), keys: self.keys.saturating_mul(2) }
        } else {
            Self { rows: self.rows.saturating_mul(2), keys: self.keys }
        };
        Self { rows: rows.max(shortest), keys: keys.clamp(shortest, most_keys.max(shortest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: i64 = 1000;
    const MOST_KEYS: i64 = 100_000;

    /// The looks at a change, one after another; each takes the milliseconds that `cost` gives, and making a thousand rows
    /// takes 13 ms.
    fn looks(count: usize, found: impl Fn(Look) -> i64, cost: impl Fn(Look) -> u64) -> Vec<Look> {
        let mut look = Look::short(SHORTEST);
        (0..count)
            .map(|_| {
                let keys = found(look).min(look.keys);
                let making = Duration::from_micros(13 * keys.unsigned_abs());
                look = look.next(keys, Duration::from_millis(cost(look)), making, SHORTEST, MOST_KEYS);
                look
            })
            .collect()
    }

    #[test]
    fn looks_that_find_a_key_for_each_row_stay_short() {
        let looks = looks(5, |look| look.rows, |look| look.rows.unsigned_abs() / 1000);
        assert_eq!(looks, [Look::short(SHORTEST); 5]);
    }

    #[test]
    fn looks_that_find_little_get_longer_until_they_find_enough() {
        let looks = looks(20, |look| look.rows / 1000, |look| look.rows.unsigned_abs() / 1000);
        assert!(looks.iter().all(|look| look.keys == SHORTEST), "{looks:?}");
        assert!(looks.iter().any(|look| look.rows > 500_000), "{looks:?}");
    }

    #[test]
    fn looks_that_take_as_long_however_short_they_are_give_more_keys() {
        let looks = looks(10, |look| look.rows, |_| 700);
        assert_eq!(looks.last(), Some(&Look { rows: 64_000, keys: 64_000 }));
        assert!(looks.iter().all(|look| look.keys <= MOST_KEYS), "{looks:?}");
    }

    #[test]
    fn a_look_that_ends_early_is_followed_by_a_shorter_one() {
        let long = Look { rows: 1_000_000, keys: SHORTEST };
        let second = Duration::from_secs(1);
        let next = long.next(SHORTEST, second, Duration::ZERO, SHORTEST, MOST_KEYS);
        assert_eq!(next, Look { rows: 500_000, keys: SHORTEST });
    }

    #[test]
    fn one_that_finds_nothing_is_followed_by_a_longer_one() {
        let next = Look::short(3).next(0, Duration::from_nanos(1), Duration::ZERO, 3, 30);
        assert_eq!(next, Look { rows: 6, keys: 3 });
    }
}
