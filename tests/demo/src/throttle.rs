//! Keeps a generator without a rate from running away: it makes events many times quicker than a database can apply
//! them, and would only fill the broker's spool. The broker withholds its acknowledgements while too many messages are
//! under way, so that the generator stops at the end of its window.

use std::time::Duration;

/// Time between two looks: a generator that is let go publishes a few thousand messages meanwhile.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// Messages under way, from the broker to the commit of their rows, at which publishing pauses: two of the
/// apply worker's largest batches, so that it never waits for work.
const MOST_UNDER_WAY: u64 = 20_000;

/// Messages under way at which it goes on.
const FEW_UNDER_WAY: u64 = MOST_UNDER_WAY / 2;

/// Whether the broker acknowledges publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledgements {
    /// At once.
    Given,
    /// Later.
    Held,
}

impl Acknowledgements {
    /// What they should be with so many messages under way.
    pub(crate) fn with(self, under_way: u64) -> Self {
        match self {
            Self::Given if under_way >= MOST_UNDER_WAY => Self::Held,
            Self::Held if under_way <= FEW_UNDER_WAY => Self::Given,
            unchanged => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Acknowledgements::{Given, Held};
    use super::*;

    #[test]
    fn publishing_pauses_when_much_is_under_way() {
        assert_eq!(Given.with(MOST_UNDER_WAY - 1), Given);
        assert_eq!(Given.with(MOST_UNDER_WAY), Held);
    }

    #[test]
    fn publishing_goes_on_when_little_is_left() {
        assert_eq!(Held.with(FEW_UNDER_WAY + 1), Held);
        assert_eq!(Held.with(FEW_UNDER_WAY), Given);
    }
}
