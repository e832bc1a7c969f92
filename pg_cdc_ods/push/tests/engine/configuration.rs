//! Endpoints come, change and go while the engine works.

use std::time::Duration;

use cdc_push::{AddressPolicy, BreakerState, EndpointOptions, Fate, Postponement, SubmitError};
use rest_receiver::{Answer, Gate};

use crate::owner::{Owner, PATIENCE, delivery, keyed, receiver, shop, without_pauses};

#[test]
fn only_configured_endpoints_are_taken() {
    let mut owner = Owner::new(Vec::new());
    assert_eq!(owner.engine.submit(delivery(1)), Err(SubmitError::UnknownEndpoint));
    assert_eq!(owner.engine.held(), 0);
}

#[test]
fn a_removed_endpoint_answers_what_is_under_way_and_gives_back_the_rest() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    owner.submit([keyed(1, "a"), keyed(2, "a")]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    owner.engine.configure(Vec::new(), AddressPolicy::default());
    let outcomes = owner.fetch();
    let removed = Fate::Postponed { after: Duration::ZERO, reason: Postponement::EndpointRemoved };
    assert_eq!((outcomes[0].id, &outcomes[0].fate), (2, &removed));
    gate.open();
    assert_eq!(owner.finish()[&1].fate, Fate::Delivered);
    assert!(owner.engine.statuses().is_empty());
}

#[test]
fn a_new_description_closes_the_breaker_and_the_same_one_does_not() {
    let (down, up) = (receiver(), receiver());
    down.answer_always(Answer::status(503));
    let mut owner = Owner::new(vec![shop(&down, without_pauses())]);
    owner.submit((1..=5).map(delivery));
    owner.finish();
    assert_eq!(owner.status().breaker, BreakerState::Open);

    owner.engine.configure(vec![shop(&down, without_pauses())], AddressPolicy::default());
    let outcome = owner.push(delivery(6));
    assert!(matches!(outcome.fate, Fate::Postponed { reason: Postponement::BreakerOpen, .. }));

    owner.engine.configure(vec![shop(&up, without_pauses())], AddressPolicy::default());
    assert_eq!(owner.push(delivery(6)).fate, Fate::Delivered);
    assert_eq!(owner.status().breaker, BreakerState::Closed);
}
