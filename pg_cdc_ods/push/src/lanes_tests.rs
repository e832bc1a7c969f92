//! Tests of [`Lanes`]: order within a key, turns between keys, and what is given back.

use std::time::Duration;

use super::*;

/// A delivery of a key.
fn keyed(id: i64, key: &str) -> Queued {
    let delivery = Delivery { key: Some(key.to_owned()), ..Delivery::example(id, "{}") };
    Queued { delivery, held_until: Instant::now(), batch_limit: usize::MAX }
}

fn single(id: i64) -> Queued {
    let delivery = Delivery::example(id, "{}");
    Queued { delivery, held_until: Instant::now(), batch_limit: usize::MAX }
}

fn lanes(items: impl IntoIterator<Item = Queued>) -> Lanes {
    let mut lanes = Lanes::default();
    for queued in items {
        lanes.push(queued);
    }
    lanes
}

fn ids(items: &[Queued]) -> Vec<i64> {
    items.iter().map(|queued| queued.delivery.id).collect()
}

fn key(name: &str) -> LaneKey {
    LaneKey::Keyed(name.to_owned())
}

#[test]
fn a_key_sends_one_at_a_time_and_keys_take_turns() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a"), keyed(3, "b"), single(4), single(5)]);
    let turns: Vec<_> = (0..5).flat_map(|_| ids(&lanes.take(None))).collect();
    assert_eq!(turns, [1, 3, 4, 5], "2 waits for 1");
    lanes.finish(&key("a"));
    assert_eq!(ids(&lanes.take(None)), [2]);
}

#[test]
fn finished_lanes_are_forgotten() {
    let mut lanes = lanes([keyed(1, "a"), single(2)]);
    while lanes.any_may_go() {
        for queued in lanes.take(None) {
            lanes.finish(&queued.lane());
        }
    }
    assert!(lanes.is_empty());
}

#[test]
fn what_waits_behind_a_delivery_given_back_is_given_back_too() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a"), keyed(3, "b")]);
    assert_eq!(ids(&lanes.take(None)), [1]);
    assert_eq!(ids(&lanes.give_back(&key("a"))), [2]);
    assert_eq!(ids(&lanes.take(None)), [3]);
    assert_eq!(lanes.waiting(), 0);
}

#[test]
fn nothing_overtakes_until_the_owner_has_seen_all_that_was_given_back() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a")]);
    lanes.take(None);
    lanes.give_back(&key("a"));
    for _ in 0..2 {
        assert!(lanes.is_blocked(&key("a")));
        lanes.seen(&key("a"));
    }
    assert!(!lanes.is_blocked(&key("a")));
    lanes.push(keyed(1, "a"));
    assert_eq!(ids(&lanes.take(None)), [1]);
}

#[test]
fn what_comes_to_a_blocked_lane_waits_for_all_that_was_given_back() {
    let mut lanes = lanes([keyed(1, "a")]);
    lanes.take(None);
    lanes.give_back(&key("a"));
    lanes.push(keyed(2, "a"));
    assert!(!lanes.any_may_go());
    lanes.seen(&key("a"));
    assert_eq!(ids(&lanes.take(None)), [2]);
}

#[test]
fn a_drained_lane_may_be_filled_again_when_it_was_seen() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a"), single(3)]);
    let mut drained = ids(&lanes.drain());
    drained.sort_unstable();
    assert_eq!(drained, [1, 2, 3]);
    assert!(!lanes.any_may_go());
    lanes.seen(&key("a"));
    assert!(!lanes.is_empty());
    lanes.seen(&key("a"));
    assert!(lanes.is_empty());
    lanes.push(keyed(1, "a"));
    assert_eq!(ids(&lanes.take(None)), [1]);
}

#[test]
fn only_what_waited_too_long_expires_with_all_behind_it() {
    let now = Instant::now();
    let later = |queued: Queued| Queued { held_until: now + Duration::from_secs(1), ..queued };
    let mut lanes = lanes([keyed(1, "a"), later(keyed(2, "a")), later(keyed(3, "b"))]);
    assert_eq!(ids(&lanes.drain_expired(now + Duration::from_millis(1))), [1, 2]);
    assert_eq!(ids(&lanes.take(None)), [3]);
}

#[test]
fn a_batch_takes_whole_lanes_in_order_within_its_bounds() {
    let items = || [keyed(1, "a"), keyed(2, "a"), single(3), keyed(4, "b"), single(5)];
    let batch = |items, bytes| BatchOptions::new("events", items, bytes).unwrap();
    assert_eq!(ids(&lanes(items()).take(Some(&batch(4, 100)))), [1, 2, 3, 4]);
    assert_eq!(ids(&lanes(items()).take(Some(&batch(4, 6)))), [1, 2, 3]);
    assert_eq!(ids(&lanes(items()).take(Some(&batch(4, 0)))), [1], "a large one goes alone");
}

#[test]
fn a_lane_cut_by_a_full_batch_goes_on_when_the_batch_is_over() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a"), keyed(3, "a"), single(4)]);
    let batch = BatchOptions::new("events", 2, 100).unwrap();
    assert_eq!(ids(&lanes.take(Some(&batch))), [1, 2]);
    assert_eq!(ids(&lanes.take(Some(&batch))), [4]);
    lanes.finish(&key("a"));
    assert_eq!(ids(&lanes.take(Some(&batch))), [3]);
}

#[test]
fn what_is_put_back_comes_first_and_in_smaller_batches() {
    let mut lanes = lanes([keyed(1, "a"), keyed(2, "a"), keyed(3, "a")]);
    let batch = BatchOptions::new("events", 2, 100).unwrap();
    let mut items = lanes.take(Some(&batch));
    items.iter_mut().for_each(|queued| queued.batch_limit = 1);
    lanes.put_back(items);
    for id in 1..=3 {
        assert_eq!(ids(&lanes.take(Some(&batch))), [id]);
        lanes.finish(&key("a"));
    }
    assert!(lanes.is_empty());
}

#[test]
fn a_delivery_with_headers_of_its_own_goes_alone() {
    let mut with_header = single(2);
    with_header.delivery.headers.push(crate::Header::new("X-Trace", "1").unwrap());
    let mut lanes = lanes([single(1), with_header, single(3)]);
    let batch = BatchOptions::new("events", 10, 100).unwrap();
    let batches: Vec<_> = (0..3).map(|_| ids(&lanes.take(Some(&batch)))).collect();
    assert_eq!(batches, [vec![1], vec![2], vec![3]]);
}
