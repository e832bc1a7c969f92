//! The circuit breaker spares a dead endpoint, and a dead endpoint does not trouble the others.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use cdc_push::{
    BreakerOptions, BreakerState, Delivery, Endpoint, EndpointOptions, Fate, Outcome, Postponement,
};
use rest_receiver::{Answer, Gate};

use crate::owner::{Owner, PATH, PATIENCE, delivery, receiver, shop, without_pauses};

/// Short enough to wait for.
const OPEN_FOR: Duration = Duration::from_millis(300);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

fn options(open_for: Duration) -> EndpointOptions {
    let breaker = BreakerOptions { failures: 5, open_for };
    EndpointOptions { breaker, concurrency: NonZeroUsize::MIN, ..without_pauses() }
}

fn is_postponed(outcome: &Outcome) -> bool {
    matches!(outcome.fate, Fate::Postponed { reason: Postponement::BreakerOpen, .. })
}

/// Submits a delivery again and again as long as the breaker is open.
fn push_until_let_through(owner: &mut Owner, id: i64) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = owner.push(delivery(id));
        let Fate::Postponed { after, reason: Postponement::BreakerOpen } = outcome.fate else {
            return outcome;
        };
        assert!(after <= OPEN_FOR, "{after:?}");
        assert!(Instant::now() < deadline, "the breaker stays open");
        std::thread::yield_now();
    }
}

#[test]
fn five_failures_open_it_and_what_waits_comes_back_uncounted() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(503));
    let mut owner = Owner::new(vec![shop(&receiver, options(LONG))]);
    owner.submit((1..=8).map(delivery));
    let outcomes = owner.finish();
    assert!((1..=5).all(|id| matches!(outcomes[&id].fate, Fate::Retry { .. })), "{outcomes:?}");
    assert!((6..=8).all(|id| is_postponed(&outcomes[&id])), "{outcomes:?}");
    let status = owner.status();
    assert_eq!((status.breaker, status.failures_in_a_row), (BreakerState::Open, 5));
    assert_eq!(receiver.observed().total, 5);
}

#[test]
fn one_probe_closes_it_when_the_endpoint_is_back() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([503; 5].map(Answer::status));
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, options(OPEN_FOR))]);
    owner.submit((1..=5).map(delivery));
    owner.finish();

    let opened = Instant::now();
    while owner.status().refuses_until.is_some_and(|until| until > Instant::now()) {
        assert!(opened.elapsed() < PATIENCE, "the breaker stays open");
        std::thread::yield_now();
    }
    owner.submit((6..=9).map(delivery));
    receiver.wait_until(PATIENCE, |observed| observed.total == 6).unwrap();
    owner.wait_for_waiting(3);
    let status = owner.status();
    assert_eq!((status.breaker, status.in_flight), (BreakerState::HalfOpen, 1));
    gate.open();
    assert!(owner.finish().values().all(|outcome| outcome.fate == Fate::Delivered));
    assert_eq!(owner.status().breaker, BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_it_again() {
    let receiver = receiver();
    receiver.answer_next([503; 6].map(Answer::status));
    let mut owner = Owner::new(vec![shop(&receiver, options(OPEN_FOR))]);
    owner.submit((1..=5).map(delivery));
    owner.finish();
    assert!(matches!(push_until_let_through(&mut owner, 6).fate, Fate::Retry { .. }));
    assert_eq!(owner.status().breaker, BreakerState::Open);
    assert_eq!(push_until_let_through(&mut owner, 7).fate, Fate::Delivered);
    assert_eq!(owner.status().breaker, BreakerState::Closed);
}

#[test]
fn a_refusal_shows_that_the_endpoint_lives() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(404));
    let mut owner = Owner::new(vec![shop(&receiver, options(OPEN_FOR))]);
    owner.submit((1..=20).map(delivery));
    assert!(owner.finish().values().all(|outcome| matches!(outcome.fate, Fate::Dead { .. })));
    assert_eq!(owner.status().breaker, BreakerState::Closed);
}

#[test]
fn an_endpoint_that_hangs_does_not_delay_another() {
    let (dead, alive) = (receiver(), receiver());
    dead.answer_always(Answer::hang());
    let other = Endpoint::new("other", &alive.url(PATH), EndpointOptions::default()).unwrap();
    let mut owner = Owner::new(vec![shop(&dead, EndpointOptions::default()), other]);
    owner.submit((1..=100).map(delivery));
    dead.wait_until(PATIENCE, |observed| observed.in_flight == 4).unwrap();
    owner.submit((101..=200).map(|id| Delivery { endpoint: "other".to_owned(), ..delivery(id) }));
    let mut delivered = 0;
    while delivered < 100 {
        let outcomes = owner.fetch();
        assert!(outcomes.iter().all(|outcome| outcome.fate == Fate::Delivered), "{outcomes:?}");
        delivered += outcomes.len();
    }
    assert_eq!(dead.observed().in_flight, 4, "the dead one still hangs");
}
