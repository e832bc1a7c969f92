//! Walks the tables of `docs/decoding.md`: what they say is what the code does.

use crate::infer::infer_type;
use crate::row::Field;
use crate::schema::Schema;
use crate::{ColumnType, Value, time};

const DOCUMENT: &str = include_str!("../../../../docs/decoding.md");

/// Semantic types with a meaning of their own; each must have its row.
const NAMES: [&str; 34] = [
    "org.apache.kafka.connect.data.Decimal",
    "org.apache.kafka.connect.data.Date",
    "org.apache.kafka.connect.data.Time",
    "org.apache.kafka.connect.data.Timestamp",
    "io.debezium.data.VariableScaleDecimal",
    "io.debezium.data.Json",
    "io.debezium.data.Xml",
    "io.debezium.data.Uuid",
    "io.debezium.data.Bits",
    "io.debezium.data.Enum",
    "io.debezium.data.EnumSet",
    "io.debezium.data.Ltree",
    "io.debezium.data.geometry.Geometry",
    "io.debezium.data.geometry.Geography",
    "io.debezium.data.geometry.Point",
    "io.debezium.time.Date",
    "io.debezium.time.Time",
    "io.debezium.time.MicroTime",
    "io.debezium.time.NanoTime",
    "io.debezium.time.Timestamp",
    "io.debezium.time.MicroTimestamp",
    "io.debezium.time.NanoTimestamp",
    "io.debezium.time.ZonedTimestamp",
    "io.debezium.time.ZonedTime",
    "io.debezium.time.Year",
    "io.debezium.time.Interval",
    "io.debezium.time.MicroDuration",
    "io.debezium.time.NanoDuration",
    "io.debezium.time.IsoDate",
    "io.debezium.time.IsoTime",
    "io.debezium.time.IsoTimestamp",
    "io.debezium.time.StructuredTimestamp",
    "io.debezium.time.StructuredZonedTimestamp",
    "io.debezium.time.StructuredDuration",
];

/// The cells of the rows of the table that has this header, without their backquotes.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    let after = DOCUMENT.split_once(&format!("\n{header}")).expect("the document has the table").1;
    let rows = after
        .lines()
        .skip_while(|line| line.is_empty() || line.starts_with("|---"))
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect()
}

/// The schema that a row of the document describes.
fn schema(name: &str, parameters: &str) -> String {
    let parameters: Vec<String> = parameters
        .split_once('=')
        .map(|(name, value)| format!(r#""{name}": "{value}""#))
        .into_iter()
        .collect();
    let element = name.strip_prefix("array of ").unwrap_or(name);
    let written = if element.contains('.') {
        format!(r#"{{"type": "any", "name": "{element}", "parameters": {{{}}}}}"#, parameters.join(","))
    } else {
        format!(r#"{{"type": "{element}"}}"#)
    };
    if name == element { written } else { format!(r#"{{"type": "array", "items": {written}}}"#) }
}

/// A value as the server prints it, or takes it in.
fn text(value: &Value<'_>, column_type: &ColumnType) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_infinite() => {
            if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        Value::Float(value) if *column_type == ColumnType::Float4 => (*value as f32).to_string(),
        Value::Float(value) if value.abs() > 1e16 => format!("{value:e}"),
        Value::Float(value) => value.to_string(),
        Value::Date(days) => time::date_for_server(*days),
        Value::Timestamp(micros) if *column_type == ColumnType::TimestampTz => {
            time::timestamp_for_server(*micros) + "+00"
        }
        Value::Timestamp(micros) => time::timestamp_for_server(*micros),
        Value::Numeric(text) | Value::Text(text) | Value::Json(text) => text.clone().into_owned(),
    }
}

fn outcome(field: Field<'_>, column_type: &ColumnType) -> String {
    match column_type.convert(field) {
        Ok(value) => text(&value, column_type),
        Err(error) => format!("refused: {error}").replace('\0', "␀"),
    }
}

#[test]
fn every_semantic_type_becomes_what_the_document_says() {
    let rows = table("| type | parameters | JSON | PostgreSQL type | value |");
    for row in &rows {
        let [name, parameters, raw, sql_name, expected] = row[..] else { panic!("five cells: {row:?}") };
        let schema = Schema::parse(&schema(name, parameters)).expect("a schema");
        let field = Field { raw, semantic: schema.semantic };
        let column_type = infer_type(field).expect("a type");
        assert_eq!(column_type.sql_name(), sql_name, "{row:?}");
        assert_eq!(outcome(field, &column_type), expected, "{row:?}");
    }
    for name in NAMES {
        assert!(rows.iter().any(|row| row[0] == name), "{name} has no row in docs/decoding.md");
    }
}

#[test]
fn values_without_a_schema_become_what_the_document_says() {
    let rows = table("| JSON | PostgreSQL type | value |");
    assert!(rows.len() > 30, "the table is found");
    for row in rows {
        let [raw, sql_name, expected] = row[..] else { panic!("three cells: {row:?}") };
        let column_type = ColumnType::from_sql_name(sql_name);
        assert_eq!(outcome(Field::untyped(raw), &column_type), expected, "{row:?}");
    }
}

#[test]
fn every_value_fits_a_text_column() {
    for row in table("| type | parameters | JSON | PostgreSQL type | value |") {
        let schema = Schema::parse(&schema(row[0], row[1])).expect("a schema");
        let field = Field { raw: row[2], semantic: schema.semantic };
        assert!(ColumnType::Text.convert(field).is_ok(), "{row:?}");
        assert!(field.to_json().is_ok(), "{row:?}");
    }
}
