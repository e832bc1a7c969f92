//! What the simulated stream promises, over 100,000 events of a printed seed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

const EVENTS: usize = 100_000;
const STARTED: UnixMicros = UnixMicros(1_767_323_045_123_456);
const MICROS_BETWEEN_EVENTS: i64 = 12_000;

fn scenario(seed: u64, drift: f64) -> Scenario {
    println!("seed {seed}");
    Scenario { seed, schema: "SALES".to_owned(), topic_prefix: "cdc/oracle".to_owned(), drift }
}

fn events(scenario: &Scenario, count: usize) -> impl Iterator<Item = Event> {
    let mut simulator = Simulator::new(scenario, STARTED);
    (0..count)
        .map(move |number| simulator.next(UnixMicros(STARTED.0 + number as i64 * MICROS_BETWEEN_EVENTS)))
}

fn body(event: &Event) -> Value {
    let mut value: Value = serde_json::from_slice(&event.payload).unwrap();
    value["payload"].take()
}

/// Share of `count` in `of`, in percent.
fn percent(count: usize, of: usize) -> f64 {
    count as f64 * 100.0 / of as f64
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let all = |seed| events(&scenario(seed, 0.15), 2_000).collect::<Vec<_>>();
    assert_eq!(all(1), all(1));
    assert_ne!(all(1), all(2));
}

#[test]
fn tables_and_operations_have_their_shares() {
    let mut counts = BTreeMap::<&str, BTreeMap<String, usize>>::new();
    for event in events(&scenario(3, 0.0), EVENTS) {
        let operation = event.topic.rsplit('/').next().unwrap().to_owned();
        *counts.entry(event.table.name()).or_default().entry(operation).or_default() += 1;
    }
    for table in Table::ALL {
        let operations = &counts[table.name()];
        let total = operations.values().sum();
        assert!((percent(total, EVENTS) - f64::from(table.percent())).abs() < 1.0, "{table:?}: {total}");
        for (operation, wanted) in Operation::ALL.into_iter().zip(table.operation_percents()) {
            let count = operations.get(operation.topic_level()).copied().unwrap_or(0);
            let found = percent(count, total);
            assert!((found - f64::from(wanted)).abs() < 2.0, "{table:?} {operation:?}: {found} %");
        }
    }
}

#[test]
fn every_event_has_the_envelope_of_its_operation() {
    for event in events(&scenario(4, 0.15), 20_000) {
        let payload = body(&event);
        let source = &payload["source"];
        assert_eq!(source["version"], "2.4.0");
        assert_eq!(source["connector"], "oracle");
        assert_eq!(source["name"], "oracle-cdc");
        assert_eq!(source["snapshot"], "false");
        assert_eq!(source["db"], "ORCL");
        assert_eq!(source["schema"], "SALES");
        assert_eq!(source["table"], event.table.name());
        assert!(source["txId"].is_string() && source["scn"].is_string());
        assert_eq!(source["ts_ms"], payload["ts_ms"]);
        assert_eq!(event.message_id.as_ref(), source["scn"]);
        let key = event.table.key_column();
        let operation = match payload["op"].as_str().unwrap() {
            "c" => {
                assert!(payload["before"].is_null() && payload["after"][key].is_i64());
                "insert"
            }
            "u" => {
                assert!(payload["before"].is_object() && payload["after"][key].is_i64());
                "update"
            }
            "d" => {
                assert!(payload["before"][key].is_i64() && payload["after"].is_null());
                "delete"
            }
            other => panic!("operation {other}"),
        };
        assert_eq!(event.topic.as_ref(), format!("cdc/oracle/SALES/{}/{operation}", event.table.name()));
    }
}

#[test]
fn system_change_numbers_rise_strictly_and_a_later_run_goes_on_above() {
    let numbers = |started| {
        let mut simulator = Simulator::new(&scenario(5, 0.0), started);
        (0..1_000).map(|_| simulator.next(started).message_id.parse().unwrap()).collect::<Vec<u64>>()
    };
    let first = numbers(STARTED);
    let second = numbers(UnixMicros(STARTED.0 + 1_000_000));
    assert!(first.is_sorted_by(|a, b| a < b));
    assert!(first.last() < second.first());
    assert!(first[0] > 1 << 53);
}

#[test]
fn an_update_shows_the_whole_row_and_changes_only_what_an_update_may() {
    let may_change: BTreeSet<&str> = [
        "STATUS",
        "QUANTITY",
        "SUBTOTAL",
        "EMAIL",
        "PHONE",
        "ADDRESS",
        "CITY",
        "COUNTRY",
        "ADDRESSES",
        "TIER",
        "PRICE",
        "STOCK_QUANTITY",
        "UPDATED_AT",
    ]
    .into();
    let mut rows = BTreeMap::<(&str, i64), Value>::new();
    for event in events(&scenario(6, 0.15), 30_000) {
        let payload = body(&event);
        let Some(after) = payload["after"].as_object() else { continue };
        let key = (event.table.name(), after[event.table.key_column()].as_i64().unwrap());
        if let Some(row) = rows.insert(key, payload["after"].clone()) {
            let before = &payload["before"];
            assert!(before.as_object().unwrap().is_empty() || *before == row, "{payload}");
            let old = row.as_object().unwrap();
            assert!(old.keys().eq(after.keys()), "{payload}");
            for (column, value) in old {
                assert!(
                    after[column] == *value || may_change.contains(column.as_str()),
                    "{column}: {payload}"
                );
            }
        }
    }
}

#[test]
fn hard_cases_of_the_source_occur() {
    let (mut inserted, mut deleted_orders) = (BTreeSet::new(), BTreeSet::new());
    let (mut empty_before, mut unknown_deletes, mut items_of_deleted_orders, mut large) = (0, 0, 0, 0);
    for event in events(&scenario(7, 0.0), 30_000) {
        let payload = body(&event);
        let key_of = |image: &Value| (event.table.name(), image[event.table.key_column()].as_i64());
        match payload["op"].as_str().unwrap() {
            "d" => {
                let key = key_of(&payload["before"]);
                unknown_deletes += usize::from(!inserted.contains(&key));
                deleted_orders.insert(key);
            }
            "u" => empty_before += usize::from(payload["before"].as_object().unwrap().is_empty()),
            _ => {
                let after = &payload["after"];
                inserted.insert(key_of(after));
                let order = ("ORDERS", after["ORDER_ID"].as_i64());
                items_of_deleted_orders +=
                    usize::from(event.table == Table::OrderItems && deleted_orders.contains(&order));
                large += usize::from(after["TOTAL_AMOUNT"].as_f64().is_some_and(|total| total > 10_000.0));
            }
        }
    }
    let found = [empty_before, unknown_deletes, items_of_deleted_orders, large];
    assert!(found.iter().all(|&count| count > 10), "{found:?}");
}

#[test]
fn drift_and_shipping_info_have_their_shares_of_inserted_orders() {
    let drift_columns = ["DISCOUNT_CODE", "DISCOUNT_PERCENT", "LOYALTY_POINTS", "SALES_CHANNEL", "PRIORITY"];
    let (mut orders, mut drifted, mut with_xml) = (0, 0, 0);
    for event in events(&scenario(8, 0.15), EVENTS).filter(|event| event.topic.ends_with("ORDERS/insert")) {
        let after = body(&event)["after"].take();
        let extra = drift_columns.iter().filter(|column| after.get(**column).is_some()).count();
        assert!(extra <= 3);
        orders += 1;
        drifted += usize::from(extra > 0);
        if let Some(xml) = after.get("SHIPPING_INFO") {
            let xml = xml.as_str().unwrap();
            assert!(xml.starts_with("<shipping_info>\n  <items>\n    <item product_id="), "{xml}");
            with_xml += 1;
        }
    }
    assert!((percent(drifted, orders) - 15.0).abs() < 1.5, "{drifted} of {orders}");
    assert!((percent(with_xml, orders) - 30.0).abs() < 1.5, "{with_xml} of {orders}");
}

#[test]
fn amounts_are_numbers_with_two_decimals_and_add_up() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        payload: Change<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Change<'a> {
        #[serde(borrow)]
        after: Option<BTreeMap<&'a str, &'a RawValue>>,
    }
    for event in events(&scenario(9, 0.15), 20_000) {
        let body: Body<'_> = serde_json::from_slice(&event.payload).unwrap();
        let Some(after) = body.payload.after else { continue };
        let cents = |column: &str| {
            let (whole, fraction) = after.get(column)?.get().split_once('.').unwrap();
            assert_eq!(fraction.len(), 2, "{column}");
            Some(whole.parse::<u64>().unwrap() * 100 + fraction.parse::<u64>().unwrap())
        };
        let total = cents("TOTAL_AMOUNT");
        assert!(total.is_none_or(|total| (5_000..=2_000_000).contains(&total)), "{total:?}");
        if let (Some(price), Some(subtotal)) = (cents("UNIT_PRICE"), cents("SUBTOTAL")) {
            let quantity: u64 = after["QUANTITY"].get().parse().unwrap();
            assert_eq!(subtotal, price * quantity);
        }
        assert!(cents("PRICE").is_none_or(|price| (1_000..=50_000).contains(&price)));
        assert!(cents("DISCOUNT_PERCENT").is_none_or(|percent| percent <= 5_000));
    }
}
