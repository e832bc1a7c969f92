//! Several deliveries in one request.

use std::num::NonZeroUsize;

use cdc_push::{BatchOptions, EndpointOptions, Fate, Postponement};
use rest_receiver::{Answer, Gate, Receiver};
use serde_json::json;

use crate::owner::{Owner, PATIENCE, delivery, event_id, keyed, receiver, shop, without_pauses};

/// An endpoint that takes batches of eight, one request at a time.
fn options() -> EndpointOptions {
    let batch = Some(BatchOptions::new("events", 8, 1 << 20).unwrap());
    EndpointOptions { batch, concurrency: NonZeroUsize::MIN, ..without_pauses() }
}

/// How many deliveries each request carried.
fn sizes(receiver: &Receiver) -> Vec<usize> {
    receiver.observed().requests.iter().map(|request| request.event_ids().len()).collect()
}

#[test]
fn what_gathers_during_a_request_goes_with_the_next() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, options())]);
    owner.submit([keyed(1, "a")]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    owner.submit((2..=4).map(|id| keyed(id, "a")));
    owner.wait_for_waiting(3);
    gate.open();
    let outcomes = owner.finish();
    assert!(outcomes.values().all(|outcome| outcome.fate == Fate::Delivered));
    assert_eq!(outcomes[&4].exchange.as_ref().unwrap().items, 3);

    let observed = receiver.observed();
    let batch = &observed.requests[1];
    assert_eq!(batch.json(), json!({"events": [{"id": 2}, {"id": 3}, {"id": 4}]}));
    assert_eq!(batch.event_ids(), [2, 3, 4].map(event_id));
}

#[test]
fn a_batch_is_no_larger_than_allowed() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, options())]);
    owner.submit([delivery(1)]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    owner.submit((2..=21).map(delivery));
    owner.wait_for_waiting(20);
    gate.open();
    owner.finish();
    assert_eq!(sizes(&receiver), [1, 8, 8, 4]);
}

#[test]
fn a_failed_batch_is_tried_again_as_a_whole() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(503));
    let mut owner = Owner::new(vec![shop(&receiver, options())]);
    owner.submit((1..=4).map(|id| keyed(id, "a")));
    for (id, outcome) in owner.finish() {
        let waits = Fate::Postponed { after: std::time::Duration::ZERO, reason: Postponement::BehindEarlier };
        assert!(matches!(outcome.fate, Fate::Retry { .. }) || outcome.fate == waits, "{id}: {outcome:?}");
    }
}

#[test]
fn one_bad_delivery_does_not_take_its_batch_with_it() {
    let receiver = receiver();
    receiver.answer_by(|request| {
        let bad = request.event_ids().contains(&event_id(6).as_str());
        Answer::status(if bad { 422 } else { 200 })
    });
    let mut owner = Owner::new(vec![shop(&receiver, options())]);
    owner.submit((1..=16).map(|id| keyed(id, "a")));
    let outcomes = owner.finish();
    for (id, outcome) in &outcomes {
        let dead = matches!(outcome.fate, Fate::Dead { .. });
        assert_eq!(dead, *id == 6, "{id}: {outcome:?}");
    }
    let observed = receiver.observed();
    let taken: Vec<&str> = observed.taken().flat_map(|request| request.event_ids()).collect();
    let expected: Vec<String> = (1..=16).filter(|id| *id != 6).map(event_id).collect();
    assert_eq!(taken, expected, "in order, each once");
}

#[test]
fn a_refusal_of_the_endpoint_itself_is_not_asked_for_again() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate), Answer::status(401)]);
    let mut owner = Owner::new(vec![shop(&receiver, options())]);
    owner.submit([delivery(1)]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    owner.submit((2..=9).map(delivery));
    owner.wait_for_waiting(8);
    gate.open();
    let outcomes = owner.finish();
    assert!((2..=9).all(|id| matches!(outcomes[&id].fate, Fate::Dead { .. })), "{outcomes:?}");
    assert_eq!(sizes(&receiver), [1, 8]);
}
