//! Whatever the order in which the messages of a history come, however often and in whatever batches, the table ends
//! as if its events had been applied one by one.
//!
//! ```text
//! random target ──┬─► random history ──► Debezium's JSON ──shuffled, doubled, in batches──► store ──┐
//!    (target)     │      (history)           (json)                 (delivery)             (store)  ├─ equal?
//!                 └───────────────────────► interpretation ─────────────────────────────────────────┘
//! ```
//!
//! `interpretation` is the judge: it knows events as they were drawn, one at a time and in order, and nothing of JSON,
//! positions or batches. `store` does what the extension does in a server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod history;
mod interpretation;
mod json;
mod kinds;
mod store;
mod target;

use std::collections::{BTreeMap, HashMap};

use cdc_core::{Decoded, Plan};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use history::{Event, Key, any_history};
use json::{Connector, Sent, messages};
use store::Store;
use target::Target;

/// The content of a table, by what keys mean and not by how they are written.
type Rows = BTreeMap<Key, Row>;

/// A row as far as it is compared.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    /// The texts of the columns behind the key, and of the documents; `None` is null.
    cells: Vec<Option<String>>,
    extra_fields: BTreeMap<String, String>,
    source_op: &'static str,
}

/// A history and a way in which its messages come.
#[derive(Debug, Clone)]
struct Run {
    target: Target,
    history: Vec<Event>,
    connector: Connector,
    /// Places in the history, each at least once.
    delivery: Vec<usize>,
    /// Sizes of the batches, over and over.
    batch_sizes: Vec<usize>,
}

fn any_run() -> impl Strategy<Value = Run> {
    let drawn = target::any_target().prop_flat_map(|target| (any_history(&target), Just(target)));
    let drawn = drawn.prop_flat_map(|(history, target)| {
        let times = prop::collection::vec(1..3_usize, history.len());
        (Just(target), Just(history), times)
    });
    let drawn = drawn.prop_flat_map(|(target, history, times)| {
        let copies = times.iter().enumerate().flat_map(|(place, times)| vec![place; *times]);
        let delivery = Just(copies.collect::<Vec<_>>()).prop_shuffle();
        (
            Just(target),
            Just(history),
            json::any_connector(),
            delivery,
            prop::collection::vec(1..6_usize, 1..4),
        )
    });
    drawn.prop_map(|(target, history, connector, delivery, batch_sizes)| Run {
        target,
        history,
        connector,
        delivery,
        batch_sizes,
    })
}

/// What the bytes of each key mean. A key has the same bytes however it is written.
fn meanings(run: &Run, plan: &Plan, sent: &[Sent]) -> HashMap<Vec<u8>, Key> {
    let mut meanings: HashMap<Vec<u8>, Key> = HashMap::new();
    let mut bytes_of: HashMap<Key, Vec<u8>> = HashMap::new();
    for (event, sent) in run.history.iter().zip(sent) {
        let Decoded::Change(decoded) = store::decoder().decode(&sent.message()).unwrap() else {
            panic!("not a change: {}", sent.payload)
        };
        // Columns without a place may be refused; then no key is told.
        let changes = plan.changes(&decoded, 0).unwrap_or_default();
        let keys = event.old_key.iter().chain([&event.key]).rev();
        for (key, change) in keys.zip(changes.iter().rev()) {
            assert_eq!(meanings.entry(change.key_bytes.clone()).or_insert_with(|| key.clone()), key);
            let bytes = bytes_of.entry(key.clone()).or_insert_with(|| change.key_bytes.clone());
            assert_eq!(*bytes, change.key_bytes, "two keys out of one: {}", sent.payload);
        }
    }
    meanings
}

/// The table after messages have come in batches.
fn delivered<'s>(plan: &Plan, batches: impl Iterator<Item = Vec<&'s Sent>>) -> Store {
    let mut store = Store::default();
    for batch in batches {
        store.apply(plan, &batch);
    }
    store
}

proptest! {
    // Cases that failed are kept beside this file.
    #![proptest_config(ProptestConfig::with_failure_persistence(FileFailurePersistence::WithSource(
        "proptest-regressions"
    )))]

    #[test]
    fn any_delivery_ends_as_the_history_in_order(run in any_run()) {
        let plan = run.target.plan();
        let sent = messages(&run.target, &run.history, run.connector);
        let meanings = meanings(&run, &plan, &sent);
        let expected = interpretation::after(&run.target, &run.history);

        let in_order = delivered(&plan, sent.iter().map(|sent| vec![sent]));
        prop_assert_eq!(&in_order.rows(&meanings), &expected, "one by one and in order");

        let mut left = run.delivery.iter().map(|place| &sent[*place]);
        let sizes = run.batch_sizes.iter().cycle();
        let batches = sizes.map(|size| left.by_ref().take(*size).collect::<Vec<_>>());
        let shuffled = delivered(&plan, batches.take_while(|batch| !batch.is_empty()));
        prop_assert_eq!(&shuffled.rows(&meanings), &expected, "delivered as {:?}", run.delivery);
    }
}
