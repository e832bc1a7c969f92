//! When rows that were given back are due again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Moments to come. It holds one for each delivery that waits for another attempt, so as many as were under way within
/// the longest pause.
#[derive(Debug, Default)]
pub(super) struct Timer {
    moments: BinaryHeap<Reverse<Instant>>,
}

impl Timer {
    pub(super) fn set(&mut self, moment: Instant) {
        self.moments.push(Reverse(moment));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.moments.peek().map(|Reverse(moment)| *moment)
    }

    /// Forgets the moments that have come; whether there were any.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let before = self.moments.len();
        while self.next().is_some_and(|moment| moment <= now) {
            self.moments.pop();
        }
        self.moments.len() < before
    }
}
