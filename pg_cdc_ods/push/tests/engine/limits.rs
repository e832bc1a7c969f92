//! The bounds of concurrency, rate, memory and time.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use cdc_push::{Delivery, EndpointOptions, EngineOptions, Fate, Postponement, SubmitError};
use rest_receiver::{Answer, Gate};

use crate::owner::{Owner, PATIENCE, delivery, keyed, receiver, shop};

#[test]
fn no_more_requests_than_allowed_are_under_way() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_always(Answer::status(200).behind(&gate));
    let concurrency = NonZeroUsize::new(3).unwrap();
    let options = EndpointOptions { concurrency, ..EndpointOptions::default() };
    let mut owner = Owner::new(vec![shop(&receiver, options)]);
    owner.submit((1..=30).map(delivery));
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 3).unwrap();
    gate.open();
    assert!(owner.finish().values().all(|outcome| outcome.fate == Fate::Delivered));
    let observed = receiver.observed();
    assert_eq!(observed.most_in_flight, 3);
    assert!(observed.connections < 30, "connections are used again");
}

#[test]
fn requests_keep_the_pace() {
    let receiver = receiver();
    let options = EndpointOptions { max_rate: NonZeroU32::new(50), ..EndpointOptions::default() };
    let mut owner = Owner::new(vec![shop(&receiver, options)]);
    let begun = Instant::now();
    owner.submit((1..=25).map(delivery));
    assert!(owner.finish().values().all(|outcome| outcome.fate == Fate::Delivered));
    // 24 pauses of 20 ms, without the burst of 50 ms.
    assert!(begun.elapsed() >= Duration::from_millis(24 * 20 - 50), "{:?}", begun.elapsed());
}

#[test]
fn the_engine_takes_no_more_than_it_may_hold() {
    let receiver = receiver();
    let options = EngineOptions { max_deliveries: 2, ..EngineOptions::default() };
    let mut owner = Owner::with(options, vec![shop(&receiver, EndpointOptions::default())]);
    assert_eq!(owner.engine.room(), 2);
    owner.submit([delivery(1), delivery(2)]);
    assert_eq!(owner.engine.room(), 0);
    assert_eq!(owner.engine.submit(delivery(3)), Err(SubmitError::Full));
    owner.finish();
    assert_eq!(owner.engine.submit(delivery(3)), Ok(()));
}

#[test]
fn a_document_larger_than_the_engine_goes_alone() {
    let receiver = receiver();
    let options = EngineOptions { max_bytes: 10, ..EngineOptions::default() };
    let mut owner = Owner::with(options, vec![shop(&receiver, EndpointOptions::default())]);
    let large = |id| Delivery { body: vec![b' '; 1000].into(), ..delivery(id) };
    owner.submit([delivery(1)]);
    assert_eq!(owner.engine.submit(large(2)), Err(SubmitError::Full));
    owner.finish();
    owner.submit([large(2)]);
    assert_eq!(owner.engine.submit(delivery(3)), Err(SubmitError::Full));
    assert_eq!(owner.finish()[&2].fate, Fate::Delivered);
}

#[test]
fn a_delivery_is_taken_once() {
    let receiver = receiver();
    let mut owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    owner.submit([delivery(1)]);
    assert_eq!(owner.engine.submit(delivery(1)), Err(SubmitError::Duplicate));
    owner.finish();
    assert_eq!(receiver.observed().total, 1);
}

#[test]
fn what_waits_too_long_is_given_back() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let options = EngineOptions { hold_for: Duration::from_secs(1), ..EngineOptions::default() };
    let mut owner = Owner::with(options, vec![shop(&receiver, EndpointOptions::default())]);
    owner.submit([keyed(1, "a"), keyed(2, "a"), keyed(3, "a")]);
    let outcomes = owner.fetch();
    let held = Fate::Postponed { after: Duration::ZERO, reason: Postponement::HeldTooLong };
    let fates: Vec<_> = outcomes.iter().map(|outcome| (outcome.id, outcome.fate.clone())).collect();
    assert_eq!(fates, [(2, held.clone()), (3, held)]);
    gate.open();
    assert_eq!(owner.finish()[&1].fate, Fate::Delivered);
}

#[test]
fn a_lease_longer_than_the_longest_stay_does_not_end_early() {
    let receiver = receiver();
    let owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    assert_eq!(owner.engine.longest_stay(), Duration::from_millis(20_000 + 2_500 + 30_000));
}
