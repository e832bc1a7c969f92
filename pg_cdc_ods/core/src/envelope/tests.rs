//! Messages of every form.

use serde_json::json;

use super::*;
use crate::row::Field;
use crate::schema::{Meaning, SemanticType, TimeUnit};

const TOPIC: &str = "cdc/oracle/SALES/ORDERS/insert";

fn change(payload: &str) -> Event<'_> {
    match decode(TOPIC, payload.as_bytes(), 1).unwrap() {
        Decoded::Change(event) => event,
        Decoded::Control(control) => panic!("a {} message: {payload}", control.as_str()),
    }
}

fn reject(payload: &[u8]) -> Reject {
    decode(TOPIC, payload, 1).unwrap_err()
}

/// A message with user properties.
fn decode_with<'a>(topic: &'a str, payload: &'a str, headers: &'a Value) -> Result<Decoded<'a>, Reject> {
    let message = Message {
        topic,
        payload: payload.as_bytes(),
        headers: headers.as_object(),
        message_id: None,
        arrival: 7,
    };
    Decoder::new(DecodeSettings::default()).decode(&message)
}

fn change_with<'a>(topic: &'a str, payload: &'a str, headers: &'a Value) -> Event<'a> {
    match decode_with(topic, payload, headers).unwrap() {
        Decoded::Change(event) => event,
        Decoded::Control(control) => panic!("a {} message: {payload}", control.as_str()),
    }
}

fn columns<'e, 'a>(row: &'e Option<Row<'a>>) -> Vec<(&'e str, &'a str)> {
    row.as_ref().unwrap().columns().collect()
}

#[test]
fn the_envelope_is_read_with_and_without_payload() {
    let bare = r#"{"before": null, "after": {"ID": 1, "N": 2.50}, "op": "c", "ts_ms": 5,
        "source": {"schema": "SALES", "table": "ORDERS", "scn": "77", "ts_ms": 4}}"#;
    let wrapped = format!(r#"{{"schema": {{"type": "struct"}}, "payload": {bare}}}"#);
    for body in [bare, wrapped.as_str()] {
        let event = change(body);
        assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
        assert_eq!(event.op, Operation::Create);
        assert_eq!(event.source_ts, Some(4000));
        assert!(event.before.is_none());
        assert_eq!(columns(&event.after), [("ID", "1"), ("N", "2.50")]);
    }
}

#[test]
fn a_schema_gives_columns_their_meaning() {
    let fields = r#"[{"field": "ID", "type": "int64"}, {"field": "AT", "type": "int64", "name": "io.debezium.time.Timestamp"}]"#;
    let body = format!(
        r#"{{"schema": {{"type": "struct", "fields": [
            {{"field": "before", "type": "struct", "fields": {fields}}},
            {{"field": "after", "type": "struct", "fields": {fields}}}]}},
            "payload": {{"op": "c", "after": {{"ID": 1, "AT": 0}}, "source": {{"scn": 1}}}}}}"#
    );
    let event = change(&body);
    let at = Field { raw: "0", semantic: SemanticType::of(Meaning::Timestamp(TimeUnit::Millis)) };
    assert_eq!(event.after.unwrap().fields().nth(1), Some(("AT", at)));
    assert_eq!(event.schema.unwrap().fields.len(), 2);
}

#[test]
fn a_scn_may_be_a_text_or_a_number() {
    let text = change(r#"{"op": "u", "after": {}, "source": {"scn": "123456789012345678901"}}"#);
    let number = change(r#"{"op": "u", "after": {}, "source": {"scn": 123456789012345678901}}"#);
    assert_eq!(text.position, number.position);
    let error = reject(br#"{"op": "u", "after": {}, "source": {"scn": {"no": 1}}}"#);
    assert!(error.message.contains("source.scn must be a text or a number"), "{}", error.message);
}

#[test]
fn events_of_one_transaction_follow_its_order() {
    let at = |order: &str| {
        let body = r#"{"op": "u", "after": {}, "source": {"scn": "5"}, "transaction": {"id": "x", "total_order": N}}"#
            .replace('N', order);
        change(&body).position
    };
    assert!(at("2") < at("10"));
}

#[test]
fn without_a_source_block_the_topic_names_the_table_and_time_and_arrival_the_position() {
    let event = change(r#"{"op": "c", "after": {"ID": 1}, "ts_ms": 9}"#);
    assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
    assert_eq!(event.position, Position::from_time(9000, 1));
}

#[test]
fn the_message_id_orders_better_than_arrival() {
    let body = br#"{"op": "c", "after": {"ID": 1}, "ts_ms": 9}"#;
    let message =
        Message { topic: TOPIC, payload: body, headers: None, message_id: Some("rmid1:5"), arrival: 3 };
    let Ok(Decoded::Change(event)) = Decoder::new(DecodeSettings::default()).decode(&message) else {
        panic!("not a change")
    };
    assert_eq!(event.position, Position::from_time_and_message_id(9000, "rmid1:5"));
}

#[test]
fn messages_that_change_nothing_are_told_apart() {
    let begin =
        r#"{"status": "BEGIN", "id": "571", "ts_ms": 1, "event_count": null, "data_collections": null}"#;
    let schema_change = r#"{"source": {"scn": "1"}, "ts_ms": 1, "databaseName": "ORCL", "schemaName": "S",
        "ddl": "ALTER TABLE …", "tableChanges": []}"#;
    let notification =
        r#"{"id": "1", "type": "COMPLETED", "aggregate_type": "Initial Snapshot", "additional_data": {}}"#;
    let message = r#"{"op": "m", "source": {"table": ""}, "message": {"prefix": "p", "content": "AA=="}}"#;
    let expected = [
        ("", Control::Tombstone),
        ("  \n", Control::Tombstone),
        (r#"{"schema": null, "payload": null}"#, Control::Tombstone),
        (r#"{"ts_ms": 1}"#, Control::Heartbeat),
        (r#"{"ts_ms": 1, "ts_us": 1000, "ts_ns": 1000000}"#, Control::Heartbeat),
        (r#"{"schema": {}, "payload": {"ts_ms": 1}}"#, Control::Heartbeat),
        (begin, Control::Transaction),
        (schema_change, Control::SchemaChange),
        (notification, Control::Notification),
        (message, Control::Message),
    ];
    for (body, control) in expected {
        match decode("x", body.as_bytes(), 1).unwrap() {
            Decoded::Control(found) => assert_eq!(found, control, "{body}"),
            Decoded::Change(_) => panic!("a change: {body}"),
        }
    }
}

#[test]
fn a_flattened_row_says_in_its_columns_what_the_envelope_would() {
    let event = change(
        r#"{"ID": 1, "STATUS": "END", "__op": "u", "__deleted": "false", "__table": "ORDERS", "__schema": "SALES",
            "__source_ts_ms": 4, "__ts_ms": 5, "__source_scn": "77", "__unknown": 1}"#,
    );
    assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
    assert_eq!((event.op, event.source_ts), (Operation::Update, Some(4000)));
    assert_eq!(columns(&event.after), [("ID", "1"), ("STATUS", "\"END\""), ("__unknown", "1")]);
    let enveloped = change(r#"{"op": "u", "after": {}, "source": {"scn": "77"}}"#);
    assert_eq!(event.position, enveloped.position);
}

#[test]
fn a_flattened_delete_is_known_by_its_flag() {
    let event = change(r#"{"ID": 1, "NAME": null, "__deleted": "true"}"#);
    assert_eq!(event.op, Operation::Delete);
    assert_eq!(columns(&event.before), [("ID", "1"), ("NAME", "null")]);
    let read = change_with("x/S/T/any", r#"{"ID": 1, "__deleted": "false"}"#, &Value::Null).op;
    assert_eq!(read, Operation::Update, "new or not is not said");
}

#[test]
fn a_flattened_row_may_have_columns_named_like_envelope_fields() {
    let event = change(r#"{"id": 1, "op": "x", "source": "web", "after": 3, "payload": "p", "__op": "c"}"#);
    assert_eq!(event.op, Operation::Create);
    assert_eq!(event.after.unwrap().len(), 5);
}

#[test]
fn a_cloud_event_is_its_data() {
    let body = r#"{"id": "name:x;scn:77", "source": "/debezium/oracle/x", "specversion": "1.0",
        "type": "io.debezium.connector.oracle.DataChangeEvent", "time": "2024-01-15T10:30:00Z",
        "datacontenttype": "application/json", "iodebeziumop": "u", "iodebeziumtsms": "4", "iodebeziumschema": "SALES",
        "iodebeziumtable": "ORDERS", "iodebeziumscn": "77", "iodebeziumcommitscn": "80", "iodebeziumtxtotalorder": "2",
        "data": DATA}"#;
    let images = r#"{"before": {"ID": 1}, "after": {"ID": 1, "N": 2}}"#;
    let wrapped = format!(r#"{{"schema": {{"type": "struct"}}, "payload": {images}}}"#);
    let expected = change(
        r#"{"op": "u", "after": {}, "source": {"scn": "77", "commit_scn": "80"}, "transaction": {"total_order": 2}}"#,
    );
    for data in [images, wrapped.as_str()] {
        let body = body.replace("DATA", data);
        let event = change(&body);
        assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
        assert_eq!((event.op, event.source_ts), (Operation::Update, Some(4000)));
        assert_eq!(columns(&event.before), [("ID", "1")]);
        assert_eq!(columns(&event.after), [("ID", "1"), ("N", "2")]);
        assert_eq!(event.position, expected.position);
    }
    let body = body.replace("DATA", images).replace("iodebeziumop", "op");
    assert_eq!(reject(body.as_bytes()).path, "iodebeziumop");
}

#[test]
fn a_bare_row_is_explained_by_user_properties() {
    let headers = json!({"cdc_operation": "update", "cdc_db_name": "ORCL", "cdc_schema": "SALES", "cdc_table_name": "ORDERS",
        "cdc_timestamp": 5, "cdc_commit_ts_ms": 4, "cdc_scn": "77", "cdc_commit_scn": "80", "cdc_ssn": 1, "cdc_txSeq": 3,
        "cdc_before": r#"{"ID": 1}"#, "cdc_key": r#"{"ID": 1}"#,
        "cdc_after_schema": r#"{"type": "struct", "fields": [{"field": "DAY", "type": "int32", "name": "io.debezium.time.Date"}]}"#});
    let event = change_with("any/topic", r#"{"DAY": 0}"#, &headers);
    assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
    assert_eq!((event.op, event.source_ts), (Operation::Update, Some(4000)));
    assert_eq!(columns(&event.before), [("ID", "1")]);
    let day = Field { raw: "0", semantic: SemanticType::of(Meaning::Date) };
    assert_eq!(event.after.unwrap().fields().next(), Some(("DAY", day)));
    assert!(matches!(event.key, Some(EventKey::Columns(_))));
}

#[test]
fn a_delete_by_user_properties_needs_no_body() {
    let headers = json!({"cdc_operation": "DELETE", "cdc_schema": "S", "cdc_table_name": "T", "cdc_before": r#"{"ID": 1}"#});
    let event = change_with("x", "", &headers);
    assert_eq!(event.op, Operation::Delete);
    assert_eq!(columns(&event.before), [("ID", "1")]);
    let headers = json!({"cdc_operation": "d", "cdc_key": 17});
    let event = change_with(TOPIC, "", &headers);
    assert_eq!(event.key, Some(EventKey::Scalar("17".into())));
    let broken = json!({"cdc_operation": "d", "cdc_before": "{"});
    assert_eq!(decode_with(TOPIC, "", &broken).unwrap_err().path, "cdc_before");
}

#[test]
fn a_bare_row_that_nothing_marks_needs_a_setting() {
    let body = br#"{"ID": 1}"#;
    assert_eq!(reject(body).error_type, ErrorType::MalformedEvent);
    let settings = DecodeSettings { bare_rows: BareRows::ByTopic, ..DecodeSettings::default() };
    let message = Message { topic: TOPIC, payload: body, headers: None, message_id: None, arrival: 1 };
    let Ok(Decoded::Change(event)) = Decoder::new(settings).decode(&message) else { panic!("not a change") };
    assert_eq!((event.op, event.source), (Operation::Create, SourceTable::new("SALES", "ORDERS")));
}

#[test]
fn the_key_is_json_with_or_without_a_schema_or_a_plain_value() {
    let body = r#"{"op": "c", "after": {}}"#;
    let key = |value: Value| {
        let headers = json!({"cdc_key": value});
        match change_with(TOPIC, body, &headers).key {
            Some(EventKey::Columns(row)) => {
                row.fields().map(|(name, field)| format!("{name}={}", field.to_json().unwrap())).collect()
            }
            Some(EventKey::Scalar(text)) => text,
            None => "none".to_owned(),
        }
    };
    assert_eq!(key(json!(r#"{"ID": 1}"#)), "ID=1");
    let typed = r#"{"schema": {"type": "struct", "fields": [{"field": "ID", "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "0"}}]}, "payload": {"ID": "BNI="}}"#;
    assert_eq!(key(json!(typed)), "ID=1234");
    assert_eq!(key(json!("\"a\\\"b\"")), "a\"b");
    assert_eq!(key(json!("A-17")), "A-17");
    assert_eq!(key(json!(17)), "17");
    for none in [
        json!(""),
        json!("null"),
        json!("Struct{ID=1}"),
        json!(null),
        json!(r#"{"schema":1,"payload":null}"#),
    ] {
        assert_eq!(key(none.clone()), "none", "{none}");
    }
    let broken = json!({"cdc_key": "{\"ID\": "});
    assert_eq!(decode_with(TOPIC, body, &broken).unwrap_err().path, "key");
}

#[test]
fn a_tombstone_with_a_key_is_a_delete_that_gives_way_to_every_position() {
    let headers = json!({"cdc_key": "{\"ID\": 1}"});
    let event = change_with(TOPIC, "", &headers);
    assert_eq!((event.op, event.position), (Operation::Delete, Position::from_time(0, 7)));
    assert!(matches!(decode_with("x", "", &headers), Ok(Decoded::Control(Control::Tombstone))));
}

#[test]
fn what_is_not_json_says_where_it_breaks() {
    let cut = reject(br#"{"payload": {"op": "c", "after": {"ID": 1"#);
    assert_eq!(cut.error_type, ErrorType::MalformedJson);
    assert!(cut.message.contains("line 1 column"), "{}", cut.message);
    let invalid = reject(b"{\"op\": \"\xff\"}");
    assert_eq!(invalid.error_type, ErrorType::MalformedJson);
    assert!(invalid.message.contains("offset 8"), "{}", invalid.message);
    assert_eq!(reject(br#"{"op": "c", "after": {"\ud800": 1}}"#).error_type, ErrorType::MalformedJson);
    assert_eq!(reject(br#"{"op": "c", "after": {}} {}"#).error_type, ErrorType::MalformedJson);
}

#[test]
fn json_that_is_no_change_event_is_told_apart() {
    for body in ["[]", "1", "{}", r#"{"op": "x"}"#, r#"{"op": "c", "after": 3}"#, r#"{"a": 1}"#] {
        assert_eq!(reject(body.as_bytes()).error_type, ErrorType::MalformedEvent, "{body}");
    }
    let unknown = reject(br#"{"payload": {"op": "x"}}"#);
    assert_eq!(unknown.path, "payload.op");
}

#[test]
fn the_source_table_must_be_known() {
    let error = decode("orders", br#"{"op": "c", "after": {}}"#, 1).unwrap_err();
    assert_eq!(error.path, "payload.source.table");
}

#[test]
fn a_body_beyond_the_limit_is_too_large() {
    let settings = DecodeSettings { payload_bytes_max: 10, ..DecodeSettings::default() };
    let decode = |payload| {
        let message = Message { topic: TOPIC, payload, headers: None, message_id: None, arrival: 1 };
        Decoder::new(settings).decode(&message).map(drop)
    };
    assert!(decode(br#"{"ts_ms":1}"#.split_at(10).0).unwrap_err().error_type == ErrorType::MalformedJson);
    assert_eq!(decode(br#"{"ts_ms":1}"#).unwrap_err().error_type, ErrorType::TooLarge);
    assert!(decode(br#"{"ts_ms":}"#).is_err() && decode(b"          ").is_ok());
}

#[test]
fn of_two_fields_with_one_name_the_later_counts() {
    let event = change(
        r#"{"op": "c", "op": "u", "after": {"ID": 1}, "after": {"ID": 2}, "source": {"scn": 1, "scn": 2}}"#,
    );
    assert_eq!((event.op, columns(&event.after)), (Operation::Update, vec![("ID", "2")]));
    assert_eq!(event.position, change(r#"{"op": "u", "after": {}, "source": {"scn": 2}}"#).position);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(change("\u{feff}{\"op\": \"c\", \"after\": {\"ID\": 1}}").op, Operation::Create);
}
