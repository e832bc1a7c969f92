//! From a message to the changes of rows: what keys, schemas and column rules do together.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use cdc_core::{
    Cell, ChangeKind, ColumnRule, ColumnType, DecodeSettings, Decoded, Decoder, Message, OnDelete, OnUnknown,
    Plan, RowChange, TargetColumn, Value,
};
use serde_json::json;

const TOPIC: &str = "cdc/oracle/SALES/PRICES/update";

/// `id bigint`, `price numeric` and `at timestamp`, keyed by `id`.
fn plan(on_delete: OnDelete, price_rule: serde_json::Value) -> Plan {
    let column = |name: &str, column_type, rule| TargetColumn {
        name: name.to_owned(),
        column_type,
        rule: ColumnRule::from_json(&rule).unwrap(),
    };
    let columns = vec![
        column("id", ColumnType::Int8, json!("ID")),
        column("price", ColumnType::Numeric, price_rule),
        column("at", ColumnType::Timestamp, json!("AT")),
    ];
    Plan::new(columns, &["id".to_owned()], OnUnknown::Overflow, on_delete, &[]).unwrap()
}

/// Decodes a message and does with its only change what `check` says.
fn only_change(plan: &Plan, body: &str, headers: serde_json::Value, check: impl FnOnce(&RowChange<'_>)) {
    let message = Message {
        topic: TOPIC,
        payload: body.as_bytes(),
        headers: headers.as_object(),
        message_id: None,
        arrival: 1,
    };
    let Decoded::Change(event) = Decoder::new(DecodeSettings::default()).decode(&message).unwrap() else {
        panic!("not a change")
    };
    let changes = plan.changes(&event, 0).unwrap();
    assert_eq!(changes.len(), 1);
    check(&changes[0]);
}

fn cells<'c, 'a>(change: &'c RowChange<'a>) -> &'c [Cell<'a>] {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => cells,
        ChangeKind::Delete => panic!("a delete"),
    }
}

fn number(text: &str) -> Cell<'_> {
    Cell::Set(Value::Numeric(text.into()))
}

#[test]
fn a_delete_needs_nothing_but_the_message_key() {
    let body = r#"{"op": "d", "before": null, "after": null, "source": {"scn": "5"}}"#;
    for key in [json!(r#"{"ID": 7}"#), json!("7"), json!(7)] {
        only_change(&plan(OnDelete::Delete, json!("PRICE")), body, json!({"cdc_key": key}), |change| {
            assert_eq!((&change.kind, &change.key), (&ChangeKind::Delete, &vec![Value::Int(7)]));
        });
    }
}

#[test]
fn a_soft_delete_with_nothing_but_a_key_keeps_the_row_as_it_is() {
    let headers = json!({"cdc_operation": "delete", "cdc_key": "{\"ID\": 7}"});
    only_change(&plan(OnDelete::Soft, json!("PRICE")), "", headers, |change| {
        assert_eq!(cells(change), [Cell::Set(Value::Int(7)), Cell::Keep, Cell::Keep]);
    });
}

#[test]
fn the_message_key_stands_in_for_a_key_that_the_row_does_not_tell() {
    let headers = json!({"cdc_key": "{\"ID\": 7}"});
    for id in ["", r#""ID": "__debezium_unavailable_value", "#] {
        let body = format!(r#"{{"op": "u", "after": {{{id}"PRICE": 1.50}}, "source": {{"scn": "5"}}}}"#);
        only_change(&plan(OnDelete::Delete, json!("PRICE")), &body, headers.clone(), |change| {
            assert_eq!(change.key, [Value::Int(7)]);
            assert_eq!(cells(change), [Cell::Set(Value::Int(7)), number("1.50"), Cell::Keep]);
        });
    }
}

#[test]
fn a_schema_makes_columns_and_overflow_readable() {
    let body = r#"{"schema": {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": [
            {"field": "ID", "type": "int64"},
            {"field": "PRICE", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
            {"field": "AT", "type": "int64", "name": "io.debezium.time.Timestamp"},
            {"field": "DAY", "type": "int32", "name": "io.debezium.time.Date"}]}]},
        "payload": {"op": "c", "after": {"ID": 7, "PRICE": "BNI=", "AT": 946684800000, "DAY": 19737}}}"#;
    only_change(&plan(OnDelete::Delete, json!("PRICE")), body, json!({}), |change| {
        assert_eq!(cells(change)[1..], [number("12.34"), Cell::Set(Value::Timestamp(0))]);
        let ChangeKind::Upsert { overflow, .. } = &change.kind else { panic!("a delete") };
        assert_eq!(*overflow, [("DAY".into(), "\"2024-01-15\"".into())]);
    });
}

#[test]
fn a_column_rule_says_what_no_schema_does() {
    let rule =
        json!({"column": "PRICE", "semantic_type": "org.apache.kafka.connect.data.Decimal", "scale": 2});
    let body = r#"{"op": "c", "after": {"ID": 7, "PRICE": "BNI="}}"#;
    only_change(&plan(OnDelete::Delete, rule), body, json!({}), |change| {
        assert_eq!(cells(change)[1], number("12.34"));
    });
}
