//! Deliveries of a key never overtake each other.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Mutex;

use cdc_push::{BatchOptions, BreakerOptions, Delivery, EndpointOptions, Fate, Postponement};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rest_receiver::{Answer, Gate, Receiver};

use crate::owner::{Owner, PATIENCE, event_id, keyed, receiver, shop, without_pauses};

/// The ids of the events that the receiver took, in its order, each where it came first.
fn taken(receiver: &Receiver) -> Vec<String> {
    let observed = receiver.observed();
    let mut seen = HashSet::new();
    let ids = observed.taken().flat_map(|request| request.event_ids()).map(str::to_owned);
    ids.filter(|id| seen.insert(id.clone())).collect()
}

#[test]
fn deliveries_of_a_key_wait_for_each_other_and_keys_do_not() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(200).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    owner.submit([keyed(1, "a"), keyed(2, "a"), keyed(3, "b")]);
    let first = owner.fetch();
    assert_eq!((first[0].id, &first[0].fate), (3, &Fate::Delivered), "2 waits for 1");
    assert_eq!(owner.status().in_flight, 1);
    gate.open();
    owner.finish();
    assert_eq!(receiver.observed().requests[2].event_ids(), [event_id(2)]);
}

#[test]
fn what_waits_behind_a_failed_delivery_comes_back_with_it() {
    let receiver = receiver();
    receiver.answer_next([Answer::status(503)]);
    let mut owner = Owner::new(vec![shop(&receiver, without_pauses())]);
    owner.submit([keyed(1, "a"), keyed(2, "a"), keyed(3, "a")]);
    let outcomes = owner.finish();
    assert!(matches!(outcomes[&1].fate, Fate::Retry { .. }));
    for id in [2, 3] {
        assert!(matches!(outcomes[&id].fate, Fate::Postponed { reason: Postponement::BehindEarlier, .. }));
    }
    assert_eq!(receiver.observed().total, 1);
}

#[test]
fn a_delivery_submitted_before_its_owner_knows_of_a_failure_does_not_overtake() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(503).behind(&gate)]);
    let mut owner = Owner::new(vec![shop(&receiver, without_pauses())]);
    owner.submit([keyed(1, "a")]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    gate.open();
    // The status shows that the answer has come, and with it the outcome, which the owner does not fetch.
    while owner.status().in_flight > 0 {
        std::thread::yield_now();
    }
    owner.submit([keyed(2, "a")]);
    let outcomes = owner.finish();
    assert!(matches!(outcomes[&1].fate, Fate::Retry { .. }));
    assert!(matches!(outcomes[&2].fate, Fate::Postponed { reason: Postponement::BehindEarlier, .. }));
    owner.submit([keyed(1, "a"), keyed(2, "a")]);
    owner.finish();
    assert_eq!(taken(&receiver), [1, 2].map(event_id));
}

#[test]
fn a_dead_delivery_lets_the_next_go() {
    let receiver = receiver();
    receiver.answer_next([Answer::status(400)]);
    let mut owner = Owner::new(vec![shop(&receiver, without_pauses())]);
    owner.submit([keyed(1, "a"), keyed(2, "a")]);
    let outcomes = owner.finish();
    assert!(matches!(outcomes[&1].fate, Fate::Dead { .. }));
    assert_eq!(outcomes[&2].fate, Fate::Delivered);
}

/// Plays an owner that tries again until everything is delivered, over a receiver that fails at random.
fn all_arrive_in_order(options: EndpointOptions, seed: u64) {
    const DELIVERIES: i64 = 300;
    println!("seed {seed}");
    let receiver = receiver();
    let rng = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
    receiver.answer_by(move |_| match rng.lock().unwrap().random_range(0..10) {
        0..2 => Answer::status(503),
        2 => Answer::close_connection(),
        3 => Answer::status(429).with_header("Retry-After", "0"),
        _ => Answer::status(200),
    });
    let mut owner = Owner::new(vec![shop(&receiver, options)]);
    let mut outbox: BTreeMap<i64, Delivery> =
        (1..=DELIVERIES).map(|id| (id, keyed(id, &format!("key {}", id % 7)))).collect();
    let mut held = HashSet::new();
    while !outbox.is_empty() {
        // As in a table: all that is not held, oldest first, behind nothing of its key that waits.
        let claimed: VecDeque<_> = outbox.values().filter(|row| !held.contains(&row.id)).cloned().collect();
        held.extend(claimed.iter().map(|row| row.id));
        owner.submit(claimed);
        for outcome in owner.fetch() {
            held.remove(&outcome.id);
            match outcome.fate {
                Fate::Delivered => drop(outbox.remove(&outcome.id)),
                Fate::Retry { .. } => outbox.get_mut(&outcome.id).unwrap().attempt += 1,
                Fate::Postponed { .. } => {}
                Fate::Dead { error } => panic!("{error}"),
            }
        }
    }
    for key in 0..7 {
        let of_key = |id: &String| id[24..].parse::<i64>().unwrap() % 7 == key;
        let arrived: Vec<String> = taken(&receiver).into_iter().filter(of_key).collect();
        let expected: Vec<String> = (1..=DELIVERIES).filter(|id| id % 7 == key).map(event_id).collect();
        assert_eq!(arrived, expected, "key {key}");
    }
}

fn without_limits() -> EndpointOptions {
    let breaker = BreakerOptions { failures: u32::MAX, ..BreakerOptions::default() };
    let max_attempts = std::num::NonZeroU32::MAX;
    EndpointOptions { breaker, max_attempts, ..without_pauses() }
}

#[test]
fn whatever_fails_all_arrive_in_order() {
    all_arrive_in_order(without_limits(), 1);
}

#[test]
fn whatever_fails_all_arrive_in_order_in_batches_too() {
    let batch = Some(BatchOptions::new("events", 10, 1 << 20).unwrap());
    all_arrive_in_order(EndpointOptions { batch, ..without_limits() }, 2);
}
