//! Amounts of money with two decimals.

use std::ops::Mul;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A positive amount, counted in cents so that it never passes through a binary fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(u32);

impl Money {
    #[cfg(test)]
    pub(crate) fn from_cents(cents: u32) -> Self {
        Self(cents)
    }

    pub(crate) const fn from_whole(whole: u32) -> Self {
        Self(whole * 100)
    }

    /// An amount between two others, both included.
    pub(crate) fn between(rng: &mut ChaCha8Rng, least: Self, most: Self) -> Self {
        Self(rng.random_range(least.0..=most.0))
    }

    /// The amount without its cents.
    pub(crate) fn whole(self) -> i64 {
        i64::from(self.0 / 100)
    }

    /// The cents alone, 0 to 99.
    pub(crate) fn cents_part(self) -> u8 {
        (self.0 % 100) as u8
    }
}

impl Mul<u32> for Money {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        Self(self.0 * times)
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.whole(), self.cents_part())
    }
}
