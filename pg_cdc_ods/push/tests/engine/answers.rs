//! What each kind of answer, or its absence, makes of a delivery.

use std::num::NonZeroU32;
use std::time::Duration;

use cdc_push::{
    Authorization, Delivery, EXCERPT_BYTES, Endpoint, EndpointOptions, Fate, Header, Outcome, Postponement,
    Secret,
};
use rest_receiver::Answer;

use crate::owner::{Owner, PATH, delivery, event_id, receiver, shop};

/// What becomes of a delivery that is answered like this.
fn outcome_of(answer: Answer) -> Outcome {
    outcome_within(EndpointOptions::default().timeout, answer)
}

/// What becomes of a delivery that is answered like this, if the endpoint has so much time.
fn outcome_within(timeout: Duration, answer: Answer) -> Outcome {
    let receiver = receiver();
    receiver.answer_next([answer]);
    let options = EndpointOptions { timeout, ..EndpointOptions::default() };
    Owner::new(vec![shop(&receiver, options)]).push(delivery(1))
}

fn retry_error(outcome: &Outcome) -> &str {
    match &outcome.fate {
        Fate::Retry { error, .. } => error,
        other => panic!("a retry, not {other:?}"),
    }
}

#[test]
fn a_delivery_is_posted_with_its_identity_and_its_headers() {
    let receiver = receiver();
    let options = EndpointOptions {
        authorization: Authorization::Bearer(Secret::new("open sesame")),
        headers: vec![Header::new("X-Api-Key", "k").unwrap(), Header::new("X-Tenant", "all").unwrap()],
        ..EndpointOptions::default()
    };
    let headers = vec![Header::new("X-Tenant", "north").unwrap()];
    let outcome = Owner::new(vec![shop(&receiver, options)]).push(Delivery { headers, ..delivery(7) });
    assert_eq!(outcome.fate, Fate::Delivered);
    let exchange = outcome.exchange.unwrap();
    assert_eq!((exchange.status, exchange.items), (Some(200), 1));
    assert_eq!(exchange.excerpt, "{}");

    let observed = receiver.observed();
    let request = &observed.requests[0];
    assert_eq!((request.path.as_str(), &request.body[..]), (PATH, &br#"{"id":7}"#[..]));
    for (name, value) in [
        ("idempotency-key", event_id(7).as_str()),
        ("content-type", "application/json"),
        ("user-agent", concat!("pg_cdc_ods/", env!("CARGO_PKG_VERSION"))),
        ("authorization", "Bearer open sesame"),
        ("x-api-key", "k"),
        ("x-tenant", "north"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[test]
fn every_2xx_is_delivered() {
    for status in [200, 201, 202, 204] {
        assert_eq!(outcome_of(Answer::status(status).with_body("")).fate, Fate::Delivered, "{status}");
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let outcome = outcome_of(Answer::status(status).with_body("busy"));
        assert_eq!(retry_error(&outcome), format!("the endpoint answered with status {status}"));
        assert_eq!(outcome.exchange.unwrap().excerpt, "busy");
    }
}

#[test]
fn a_refusal_is_final_and_tells_what_the_endpoint_said() {
    for status in [400, 401, 403, 404, 409, 410, 413, 422] {
        let outcome = outcome_of(Answer::status(status).with_body("no such order"));
        let error = format!("the endpoint answered with status {status}");
        assert_eq!(outcome.fate, Fate::Dead { error });
        let exchange = outcome.exchange.unwrap();
        assert_eq!((exchange.status, exchange.excerpt.as_str()), (Some(status), "no such order"));
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = receiver();
    let outcome = outcome_of(Answer::status(307).with_header("Location", &elsewhere.url(PATH)));
    let error = "the endpoint answered with the redirect 307, which is not followed".to_owned();
    assert_eq!(outcome.fate, Fate::Dead { error });
    assert_eq!(elsewhere.observed().total, 0);
}

#[test]
fn an_excerpt_of_a_long_answer_is_bounded() {
    let outcome = outcome_of(Answer::status(400).with_body("x".repeat(EXCERPT_BYTES * 100)));
    assert_eq!(outcome.exchange.unwrap().excerpt, "x".repeat(EXCERPT_BYTES));
}

#[test]
fn the_status_counts_even_if_the_body_is_slow_or_breaks_off() {
    let slow = Answer::status(200).with_slow_body(Duration::from_secs(3600));
    let slow = outcome_within(Duration::from_secs(10), slow);
    assert_eq!(slow.fate, Fate::Delivered);
    let cut = outcome_of(Answer::status(422).with_body("unknown product").with_cut_body());
    assert!(matches!(cut.fate, Fate::Dead { .. }), "{cut:?}");
}

#[test]
fn no_answer_in_time_is_tried_again() {
    let outcome = outcome_within(Duration::from_secs(1), Answer::hang());
    assert_eq!(retry_error(&outcome), "no answer within 1s");
    let exchange = outcome.exchange.unwrap();
    assert_eq!(exchange.status, None);
    assert!(exchange.latency >= Duration::from_secs(1));
}

#[test]
fn a_broken_connection_is_tried_again() {
    for answer in [Answer::close_connection(), Answer::reset_connection(), Answer::garbage()] {
        let outcome = outcome_of(answer.clone());
        let error = retry_error(&outcome);
        assert!(error.starts_with("the connection failed before an answer came: "), "{answer:?}: {error}");
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_tried_again() {
    let gone = receiver();
    let (url, address) = (gone.url(PATH), gone.address());
    drop(gone);
    let endpoint = Endpoint::new("shop", &url, EndpointOptions::default()).unwrap();
    let outcome = Owner::new(vec![endpoint]).push(delivery(1));
    let error = retry_error(&outcome);
    assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
}

#[test]
fn the_last_attempt_is_followed_by_no_other() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(503));
    let max_attempts = NonZeroU32::new(3).unwrap();
    let options = EndpointOptions { max_attempts, ..EndpointOptions::default() };
    let mut owner = Owner::new(vec![shop(&receiver, options)]);
    let mut attempt = |attempt| owner.push(Delivery { attempt, ..delivery(1) }).fate;
    assert!(matches!(attempt(1), Fate::Retry { .. }));
    assert!(matches!(attempt(2), Fate::Retry { .. }));
    let error = "the endpoint answered with status 503; that was attempt 3 of 3".to_owned();
    assert_eq!(attempt(3), Fate::Dead { error });
}

#[test]
fn a_pause_that_the_endpoint_asks_for_is_kept() {
    let receiver = receiver();
    receiver.answer_next([Answer::status(429).with_header("Retry-After", "120")]);
    let mut owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    let Fate::Retry { after, .. } = owner.push(delivery(1)).fate else { panic!("a retry") };
    assert_eq!(after, Duration::from_secs(120));

    assert!(owner.status().refuses_until.is_some());
    let Fate::Postponed { after, reason } = owner.push(delivery(2)).fate else { panic!("postponed") };
    assert_eq!(reason, Postponement::EndpointPaused);
    assert!(after <= Duration::from_secs(120) && after > Duration::from_secs(60), "{after:?}");
    assert_eq!(receiver.observed().total, 1, "the second was not sent");
}
