//! When each change is due. It knows no clock: times are durations since the start of the run.

use std::time::Duration;

/// Most changes made in one go, so that a stop or a line of progress never waits long.
const MAX_SLICE: u64 = 256;

const NANOS_PER_MINUTE: u128 = 60_000_000_000;

/// Even spacing of the changes, and the end of a run.
///
/// Each change has a due time of its own, counted from the start and not from the change before it, so that a
/// hold-up is made good afterwards and the rate is met over the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Changes per minute; 0 is as fast as possible.
    pub(crate) rate: u32,
    /// Changes until the end.
    pub(crate) count: Option<u64>,
    /// Time until the end.
    pub(crate) duration: Option<Duration>,
}

/// What to do at some moment of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make so many changes now.
    Make(u64),
    /// Nothing is due before this time.
    WaitUntil(Duration),
    /// The run is over.
    End,
}

impl Schedule {
    /// What to do `elapsed` after the start, when `made` changes have been made.
    pub(crate) fn step(&self, elapsed: Duration, made: u64) -> Step {
        let left = self.count.map_or(u64::MAX, |count| count.saturating_sub(made));
        if left == 0 || self.duration.is_some_and(|duration| elapsed >= duration) {
            return Step::End;
        }
        let due = self.due_by(elapsed).saturating_sub(made);
        if due == 0 {
            let next = self.due_time(made);
            return Step::WaitUntil(self.duration.map_or(next, |duration| next.min(duration)));
        }
        Step::Make(due.min(left).min(MAX_SLICE))
    }

    /// How many changes are due in the time `elapsed`; the first is due at once.
    fn due_by(&self, elapsed: Duration) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let passed = elapsed.as_nanos() * u128::from(self.rate) / NANOS_PER_MINUTE;
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// When the change after `made` others is due, rounded up so that it is due by then.
    fn due_time(&self, made: u64) -> Duration {
        let nanos = (u128::from(made) * NANOS_PER_MINUTE).div_ceil(u128::from(self.rate.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: Schedule = Schedule { rate: 5_000, count: None, duration: None };

    #[test]
    fn changes_are_due_evenly_from_the_start() {
        let gap = Duration::from_millis(12);
        assert_eq!(ENDLESS.step(Duration::ZERO, 0), Step::Make(1));
        assert_eq!(ENDLESS.step(Duration::ZERO, 1), Step::WaitUntil(gap));
        assert_eq!(ENDLESS.step(gap, 1), Step::Make(1));
        assert_eq!(ENDLESS.step(Duration::from_secs(60), 4_990), Step::Make(11));
    }

    #[test]
    fn a_wait_always_ends_with_a_change_that_is_due() {
        for rate in [1, 7, 59_999, 1_234_567, u32::MAX] {
            let schedule = Schedule { rate, ..ENDLESS };
            for made in [1, 2, 3, 1_000, 999_999] {
                let Step::WaitUntil(time) = schedule.step(Duration::ZERO, made) else {
                    panic!("rate {rate}")
                };
                assert_eq!(schedule.step(time, made), Step::Make(1), "rate {rate} after {made}");
            }
        }
    }

    #[test]
    fn a_hold_up_is_made_good_in_slices() {
        assert_eq!(ENDLESS.step(Duration::from_secs(60), 0), Step::Make(MAX_SLICE));
    }

    #[test]
    fn rate_zero_never_waits() {
        let schedule = Schedule { rate: 0, ..ENDLESS };
        assert_eq!(schedule.step(Duration::ZERO, 1_000_000), Step::Make(MAX_SLICE));
    }

    #[test]
    fn the_count_is_met_exactly() {
        let schedule = Schedule { rate: 0, count: Some(300), duration: None };
        assert_eq!(schedule.step(Duration::ZERO, 0), Step::Make(MAX_SLICE));
        assert_eq!(schedule.step(Duration::ZERO, MAX_SLICE), Step::Make(300 - MAX_SLICE));
        assert_eq!(schedule.step(Duration::ZERO, 300), Step::End);
    }

    #[test]
    fn the_duration_cuts_a_wait_short() {
        let schedule = Schedule { rate: 1, count: None, duration: Some(Duration::from_secs(10)) };
        assert_eq!(schedule.step(Duration::ZERO, 1), Step::WaitUntil(Duration::from_secs(10)));
        assert_eq!(schedule.step(Duration::from_secs(10), 1), Step::End);
    }
}
