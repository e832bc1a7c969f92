//! Whatever bytes come, decoding and planning end with changes or with a reason, never with a panic.
//!
//! `tests/corpus` holds messages of every form and every broken shape that was found; the names begin with what they
//! are. The properties below take them apart and put them together at random.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::path::Path;

use cdc_core::{
    BareRows, ColumnRule, ColumnType, DecodeSettings, Decoded, Decoder, Event, Field, Meaning, Message,
    OnDelete, OnUnknown, Plan, Reject, Row, SemanticType, TargetColumn, infer_columns, widen,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

const TOPIC: &str = "cdc/oracle/SALES/ORDERS/insert";

/// A column of every type, so that every value meets every conversion.
const TYPES: [&str; 24] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "text",
    "bytea",
    "date",
    "time",
    "time with time zone",
    "timestamp",
    "timestamp with time zone",
    "interval",
    "uuid",
    "bit",
    "jsonb",
    "json",
    "integer[]",
    "timestamp[]",
    "jsonb[]",
    "point",
    "public.geometry",
];

/// Semantic types whose values are taken apart.
const NAMES: [&str; 12] = [
    "org.apache.kafka.connect.data.Decimal",
    "io.debezium.data.VariableScaleDecimal",
    "io.debezium.data.Bits",
    "io.debezium.data.Json",
    "io.debezium.time.Date",
    "io.debezium.time.MicroTime",
    "io.debezium.time.MicroTimestamp",
    "io.debezium.time.NanoTimestamp",
    "io.debezium.time.MicroDuration",
    "io.debezium.time.StructuredDate",
    "io.debezium.time.StructuredZonedTime",
    "io.debezium.time.StructuredDuration",
];

/// A plan whose second column has this type and is fed by `A`; the key is `ID`.
fn plan(sql_name: &str, on_unknown: OnUnknown, on_delete: OnDelete) -> Plan {
    let column = |name: &str, sql_name: &str, rule: Value| TargetColumn {
        name: name.to_owned(),
        column_type: ColumnType::from_sql_name(sql_name),
        rule: ColumnRule::from_json(&rule).unwrap(),
    };
    let columns = vec![
        column("id", "numeric", json!("ID")),
        column("a", sql_name, json!(["A", "B", "C"])),
        column("typed", sql_name, json!({"column": "D", "semantic_type": "io.debezium.time.MicroTimestamp"})),
        column("joined", "text", json!({"join": ["A", "B", "E"], "separator": " "})),
        column("equal", "boolean", json!({"column": "C", "equals": 1})),
    ];
    Plan::new(columns, &["id".to_owned()], on_unknown, on_delete, &["F".to_owned()]).unwrap()
}

/// Does with a message all that the extension does without a server.
fn run(payload: &[u8], headers: &Value) {
    for bare_rows in [BareRows::Refuse, BareRows::ByTopic] {
        let settings = DecodeSettings { bare_rows, ..DecodeSettings::default() };
        if let Ok(Decoded::Change(event)) = decode(payload, headers, settings) {
            plan_everywhere(&event);
        }
    }
}

fn decode<'a>(
    payload: &'a [u8],
    headers: &'a Value,
    settings: DecodeSettings,
) -> Result<Decoded<'a>, Reject> {
    let message =
        Message { topic: TOPIC, payload, headers: headers.as_object(), message_id: None, arrival: 1 };
    Decoder::new(settings).decode(&message)
}

fn plan_everywhere(event: &Event<'_>) {
    let inferred = infer_columns(event);
    for sql_name in TYPES {
        for (on_unknown, on_delete) in
            [(OnUnknown::Overflow, OnDelete::Soft), (OnUnknown::Reject, OnDelete::Delete)]
        {
            drop(plan(sql_name, on_unknown, on_delete).changes(event, 0));
        }
        let column_type = ColumnType::from_sql_name(sql_name);
        for (_, field) in [&event.before, &event.after].into_iter().flatten().flat_map(Row::fields) {
            drop(widen(&column_type, field));
            drop(inferred.iter().map(|column| column.column_type.convert(field)).collect::<Vec<_>>());
        }
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn the_corpus_ends_as_its_names_say() {
    for (name, payload) in corpus() {
        let end = match decode(&payload, &Value::Null, DecodeSettings::default()) {
            Ok(Decoded::Change(_)) => "change",
            Ok(Decoded::Control(_)) => "control",
            Err(_) => "reject",
        };
        assert_eq!(Some(end), name.split('-').next(), "{name}");
        run(&payload, &Value::Null);
    }
}

/// JSON of any shape, with a liking for the names and values that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        "[-+0-9.eE:TZ ]{0,24}".prop_map(Value::from),
        "[A-Za-z0-9+/=_-]{0,24}".prop_map(Value::from),
        prop::sample::select(vec!["c", "u", "d", "r", "t", "m", "true", "BEGIN", "\u{0}", "Infinity"])
            .prop_map(Value::from),
        prop::sample::select(vec![
            "io.debezium.time.Timestamp",
            "io.debezium.time.MicroDuration",
            "io.debezium.time.StructuredTimestamp",
            "io.debezium.data.Bits",
            "io.debezium.data.Json",
            "org.apache.kafka.connect.data.Decimal",
            "struct",
            "array",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    let known = [
        "before",
        "after",
        "source",
        "op",
        "ts_ms",
        "payload",
        "schema",
        "data",
        "specversion",
        "status",
        "ID",
        "A",
        "B",
        "C",
        "D",
        "E",
        "F",
        "scale",
        "value",
        "wkb",
        "x",
        "y",
        "srid",
        "__op",
        "__deleted",
        "__scn",
        "iodebeziumop",
        "type",
        "name",
        "field",
        "fields",
        "items",
        "parameters",
        "scn",
        "lsn",
        "file",
        "pos",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "nanos",
        "seconds",
        "months",
        "specialValue",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

fn any_headers() -> impl Strategy<Value = Value> {
    let names = [
        "cdc_key",
        "cdc_operation",
        "cdc_before",
        "cdc_after_schema",
        "cdc_scn",
        "cdc_table_name",
        "cdc_schema",
        "cdc_timestamp",
        "__op",
    ];
    let value = prop_oneof![
        any_json(),
        any_json().prop_map(|value| Value::from(value.to_string())),
        "\\PC{0,16}".prop_map(Value::from)
    ];
    prop::collection::vec((prop::sample::select(names.to_vec()), value), 0..5).prop_map(|headers| {
        Value::Object(headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

/// A file of the corpus with a few places changed.
fn any_damage() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = corpus().into_iter().map(|(_, payload)| payload).collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6);
    (prop::sample::select(files), edits).prop_map(|(mut payload, edits)| {
        for (place, byte, kind) in edits {
            let place = place.index(payload.len() + 1);
            match kind {
                0 => payload.insert(place, byte),
                1 => payload.truncate(place),
                2 if place < payload.len() => payload[place] = byte,
                _ if place < payload.len() => drop(payload.remove(place)),
                _ => (),
            }
        }
        payload
    })
}

proptest! {
    // Cases that failed are kept beside this file.
    #![proptest_config(ProptestConfig::with_failure_persistence(FileFailurePersistence::WithSource(
        "proptest-regressions"
    )))]

    #[test]
    fn any_bytes_end_well(payload: Vec<u8>, headers in any_headers()) {
        run(&payload, &headers);
    }

    #[test]
    fn any_json_ends_well(body in any_json(), headers in any_headers()) {
        run(body.to_string().as_bytes(), &headers);
    }

    #[test]
    fn any_envelope_ends_well(schema in any_json(), after in any_json(), before in any_json(), op in "[cudrt]") {
        let payload = json!({"op": op, "before": before, "after": {"ID": 1, "A": after}, "source": {"scn": "1"}});
        run(json!({"schema": schema, "payload": payload}).to_string().as_bytes(), &Value::Null);
    }

    #[test]
    fn any_damage_ends_well(payload in any_damage()) {
        run(&payload, &Value::Null);
    }

    #[test]
    fn any_value_of_any_meaning_ends_well(
        value in any_json(),
        name in prop::sample::select(NAMES.to_vec()),
        scale: i32,
        is_array: bool,
    ) {
        let scale = scale.to_string();
        let meaning = Meaning::from_name(name, |_| Some(&scale)).unwrap();
        let raw = value.to_string();
        let field = Field { raw: &raw, semantic: SemanticType { meaning, is_array } };
        drop(field.to_json());
        for sql_name in TYPES {
            drop(widen(&ColumnType::from_sql_name(sql_name), field));
        }
    }
}
