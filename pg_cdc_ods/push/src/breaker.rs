//! The circuit breaker of one endpoint: it spares a dead endpoint, and its deliveries, hopeless attempts.

use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one request may probe the endpoint.
    pub open_for: Duration,
}

impl Default for BreakerOptions {
    /// 5 failures, 30 s.
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(30) }
    }
}

/// The state of a breaker, as statistics show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    #[default]
    Closed,
    /// Nothing goes through.
    Open,
    /// One request probes the endpoint; the rest waits for its answer.
    HalfOpen,
}

impl BreakerState {
    /// The state's name: `closed`, `open` or `half-open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The leave to make one request. Its result goes back to the breaker with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// One of many.
    Ordinary,
    /// The one that probes the endpoint.
    Probe,
}

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Go(Permit),
    /// Perhaps soon: a probe is under way.
    WaitForProbe,
    /// Not for so long: the breaker is open.
    Open(Duration),
    /// Not for so long: the endpoint asked for it.
    Paused(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen,
}

/// A breaker, and the pause that an endpoint may ask for by `Retry-After`.
///
/// Only answers to ordinary requests in the closed phase, and that to the probe, change the phase: a request from
/// before the outage, answered late, says nothing new.
#[derive(Debug)]
pub(crate) struct Breaker {
    options: BreakerOptions,
    phase: Phase,
    failures_in_a_row: u32,
    paused_until: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self { options, phase: Phase::Closed, failures_in_a_row: 0, paused_until: None }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Whether a request may be made at `now`, changing nothing.
    pub(crate) fn admission(&self, now: Instant) -> Admission {
        if let Some(until) = self.paused_until
            && until > now
        {
            return Admission::Paused(until - now);
        }
        match self.phase {
            Phase::Closed => Admission::Go(Permit::Ordinary),
            Phase::Open { until } if until > now => Admission::Open(until - now),
            Phase::Open { .. } => Admission::Go(Permit::Probe),
            Phase::HalfOpen => Admission::WaitForProbe,
        }
    }

    /// A request with this permit is being made.
    pub(crate) fn begun(&mut self, permit: Permit) {
        if permit == Permit::Probe {
            self.phase = Phase::HalfOpen;
        }
    }

    /// The endpoint answered, be it with a refusal: it is alive.
    pub(crate) fn answered(&mut self, permit: Permit) {
        if permit == Permit::Probe {
            self.phase = Phase::Closed;
        }
        if matches!(self.phase, Phase::Closed) {
            self.failures_in_a_row = 0;
        }
    }

    /// The request failed in a way that may pass.
    pub(crate) fn failed(&mut self, permit: Permit, now: Instant) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let opens = match self.phase {
            Phase::Closed => self.failures_in_a_row >= self.options.failures,
            Phase::HalfOpen => permit == Permit::Probe,
            Phase::Open { .. } => false,
        };
        if opens {
            self.phase = Phase::Open { until: now + self.options.open_for };
        }
    }

    /// The endpoint asked to be left alone for so long.
    pub(crate) fn pause(&mut self, pause: Duration, now: Instant) {
        let until = now + pause;
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(30);

    /// A breaker that opened at the returned moment.
    fn open_breaker() -> (Breaker, Instant) {
        let mut breaker = Breaker::new(BreakerOptions::default());
        let now = Instant::now();
        for _ in 0..5 {
            breaker.failed(Permit::Ordinary, now);
        }
        (breaker, now)
    }

    #[test]
    fn it_opens_at_the_fifth_failure_in_a_row() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        let now = Instant::now();
        for _ in 0..4 {
            breaker.failed(Permit::Ordinary, now);
        }
        assert_eq!(breaker.admission(now), Admission::Go(Permit::Ordinary));
        breaker.failed(Permit::Ordinary, now);
        assert_eq!(breaker.admission(now), Admission::Open(OPEN_FOR));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        let now = Instant::now();
        for _ in 0..3 {
            for _ in 0..4 {
                breaker.failed(Permit::Ordinary, now);
            }
            breaker.answered(Permit::Ordinary);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.failures_in_a_row(), 0);
    }

    #[test]
    fn one_probe_goes_when_the_time_is_up_and_closes_it() {
        let (mut breaker, opened) = open_breaker();
        let just_before = opened + OPEN_FOR - Duration::from_millis(1);
        assert_eq!(breaker.admission(just_before), Admission::Open(Duration::from_millis(1)));
        let later = opened + OPEN_FOR;
        assert_eq!(breaker.admission(later), Admission::Go(Permit::Probe));
        breaker.begun(Permit::Probe);
        assert_eq!(breaker.admission(later), Admission::WaitForProbe);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.answered(Permit::Probe);
        assert_eq!(breaker.admission(later), Admission::Go(Permit::Ordinary));
    }

    #[test]
    fn a_failed_probe_opens_it_for_the_whole_time_again() {
        let (mut breaker, opened) = open_breaker();
        let later = opened + OPEN_FOR;
        breaker.begun(Permit::Probe);
        breaker.failed(Permit::Probe, later);
        assert_eq!(breaker.admission(later), Admission::Open(OPEN_FOR));
        assert_eq!(breaker.failures_in_a_row(), 6);
    }

    #[test]
    fn late_answers_from_before_the_outage_change_nothing() {
        let (mut breaker, opened) = open_breaker();
        breaker.answered(Permit::Ordinary);
        breaker.failed(Permit::Ordinary, opened + Duration::from_secs(20));
        assert_eq!(breaker.admission(opened), Admission::Open(OPEN_FOR));
        breaker.begun(Permit::Probe);
        breaker.answered(Permit::Ordinary);
        breaker.failed(Permit::Ordinary, opened + OPEN_FOR);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn a_pause_holds_whatever_the_phase_and_the_longest_one_counts() {
        let (mut breaker, now) = open_breaker();
        breaker.pause(Duration::from_secs(60), now);
        breaker.pause(Duration::from_secs(10), now);
        assert_eq!(breaker.admission(now), Admission::Paused(Duration::from_secs(60)));
        assert_eq!(breaker.admission(now + Duration::from_secs(60)), Admission::Go(Permit::Probe));
    }
}
