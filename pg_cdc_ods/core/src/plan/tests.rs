use super::*;
use crate::{Decoded, decode};
use serde_json::json;

fn column(name: &str, column_type: ColumnType, rule: serde_json::Value) -> TargetColumn {
    TargetColumn { name: name.into(), column_type, rule: ColumnRule::from_json(&rule).unwrap() }
}

fn customers(on_unknown: OnUnknown, on_delete: OnDelete) -> Plan {
    let columns = vec![
        column("id", ColumnType::Int8, json!("ID")),
        column("name", ColumnType::Text, json!([{"join": ["FIRST", "LAST"], "separator": " "}, "NAME"])),
        column("active", ColumnType::Bool, json!([{"column": "STATUS", "equals": "ACTIVE"}])),
    ];
    Plan::new(columns, &["id".into()], on_unknown, on_delete, &["DOC".into()]).unwrap()
}

fn overflow_plan() -> Plan {
    customers(OnUnknown::Overflow, OnDelete::Delete)
}

fn changes<'a>(plan: &Plan, body: &'a str) -> Result<Vec<RowChange<'a>>, Reject> {
    match decode("x/S/T/op", body.as_bytes(), 1).unwrap() {
        Decoded::Change(event) => plan.changes(&event, 1),
        Decoded::Control(_) => panic!("a control message"),
    }
}

fn cells<'c, 'a>(change: &'c RowChange<'a>) -> &'c [Cell<'a>] {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => cells,
        ChangeKind::Delete => panic!("a delete"),
    }
}

#[test]
fn rules_make_the_cells_and_the_rest_overflows() {
    let body =
        r#"{"op":"c","after":{"ID":7,"FIRST":"Ann","LAST":"Lee","STATUS":"GONE","TEL":"1","DOC":"<x/>"}}"#;
    let change = &changes(&overflow_plan(), body).unwrap()[0];
    let expected = [Value::Int(7), Value::Text("Ann Lee".into()), Value::Bool(false)].map(Cell::Set);
    assert_eq!(cells(change), expected);
    let ChangeKind::Upsert { overflow, .. } = &change.kind else { panic!("a delete") };
    // A comparison loses what STATUS said, so STATUS overflows as well; DOC is dropped.
    assert_eq!(*overflow, [("STATUS".into(), "\"GONE\"".into()), ("TEL".into(), "\"1\"".into())]);
}

#[test]
fn what_a_create_leaves_out_is_null_and_what_an_update_leaves_out_stays() {
    let create = &changes(&overflow_plan(), r#"{"op":"c","after":{"ID":7}}"#).unwrap()[0];
    assert_eq!(cells(create)[1], Cell::Set(Value::Null));
    let update = r#"{"op":"u","after":{"ID":7,"NAME":"__debezium_unavailable_value"}}"#;
    let update = &changes(&overflow_plan(), update).unwrap()[0];
    assert_eq!(cells(update)[1..], [Cell::Keep, Cell::Keep]);
    assert!(update.is_partial() && !create.is_partial());
    let unsent =
        r#"{"op":"u","after":{"ID":7,"NAME":"a","STATUS":"b","TEL":"__debezium_unavailable_value"}}"#;
    assert!(changes(&overflow_plan(), unsent).unwrap()[0].is_partial());
}

#[test]
fn what_is_made_of_a_value_that_was_not_available_stays() {
    let body = r#"{"op":"u","after":{"ID":7,"FIRST":"Ann","LAST":"__debezium_unavailable_value",
        "STATUS":"__debezium_unavailable_value"}}"#;
    assert_eq!(cells(&changes(&overflow_plan(), body).unwrap()[0])[1..], [Cell::Keep, Cell::Keep]);
}

#[test]
fn what_a_soft_delete_leaves_out_stays() {
    let soft = customers(OnUnknown::Overflow, OnDelete::Soft);
    let delete = r#"{"op":"d","before":{"ID":7,"NAME":null},"after":null}"#;
    assert_eq!(cells(&changes(&soft, delete).unwrap()[0])[1..], [Cell::Set(Value::Null), Cell::Keep]);
}

#[test]
fn an_update_of_the_key_moves_the_row() {
    let body = r#"{"op":"u","before":{"ID":1},"after":{"ID":2,"NAME":"a","STATUS":"ACTIVE"}}"#;
    let moved = changes(&overflow_plan(), body).unwrap();
    assert_eq!(moved.len(), 2);
    assert_eq!((&moved[0].kind, &moved[0].key), (&ChangeKind::Delete, &vec![Value::Int(1)]));
    assert_eq!(moved[1].key, [Value::Int(2)]);
}

#[test]
fn a_delete_takes_its_key_from_before_and_follows_the_policy() {
    let body = r#"{"op":"d","before":{"ID":1},"after":null}"#;
    assert_eq!(changes(&overflow_plan(), body).unwrap()[0].kind, ChangeKind::Delete);
    assert!(changes(&customers(OnUnknown::Overflow, OnDelete::Ignore), body).unwrap().is_empty());
    let soft = changes(&customers(OnUnknown::Overflow, OnDelete::Soft), body).unwrap();
    assert!(matches!(soft[0].kind, ChangeKind::Upsert { .. }));
}

#[test]
fn a_misfit_names_the_column_the_value_and_the_type() {
    let error = changes(&overflow_plan(), r#"{"op":"c","after":{"ID":"x7"}}"#).unwrap_err();
    assert_eq!(error.error_type, ErrorType::SchemaMismatch);
    assert_eq!(error.path, "payload.after.ID");
    assert_eq!(error.message, "column ID: expected a bigint, found x7");
}

#[test]
fn a_key_must_be_there() {
    for body in [r#"{"op":"c","after":{"NAME":"a"}}"#, r#"{"op":"d","before":{"ID":null}}"#] {
        assert!(changes(&overflow_plan(), body).unwrap_err().message.contains("key column ID"), "{body}");
    }
    assert_eq!(changes(&overflow_plan(), r#"{"op":"c"}"#).unwrap_err().path, "payload.after");
}

#[test]
fn unknown_columns_can_be_refused() {
    let plan = customers(OnUnknown::Reject, OnDelete::Delete);
    let error = changes(&plan, r#"{"op":"c","after":{"ID":1,"TEL":"1","FAX":"2"}}"#).unwrap_err();
    assert!(error.message.ends_with("TEL, FAX"), "{}", error.message);
}
