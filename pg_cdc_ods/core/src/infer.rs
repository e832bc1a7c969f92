//! The PostgreSQL types that a source's columns need: for a table that is made from its first event, for a column that
//! is added, and for a column that a new value does not fit.

use crate::envelope::{Event, EventKey};
use crate::row::{Field, Row};
use crate::schema::{Meaning, SemanticType, Structured};
use crate::time::{self, TextKind};
use crate::{ColumnType, ValueError, json};

/// A column as an event describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredColumn {
    /// The name as the source spells it.
    pub name: String,
    /// The type that holds its values.
    pub column_type: ColumnType,
    /// Whether the schema says that it is never null. Without a schema it is not known, and false.
    pub is_not_null: bool,
    /// Whether it is in the key of the message.
    pub is_key: bool,
}

/// Whether a column can hold a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// As it is.
    Fits,
    /// If it becomes this type, in which it still holds all that it has.
    Becomes(ColumnType),
    /// No type of its family can.
    Impossible(ValueError),
}

/// The columns of an event's table, in the order of its schema, else of its row.
///
/// Without a schema a column whose value is null has no type, and is left out: it comes when it has a value.
pub fn infer_columns(event: &Event<'_>) -> Vec<InferredColumn> {
    let is_key = |name: &str| match &event.key {
        Some(EventKey::Columns(key)) => key.columns().any(|(known, _)| known == name),
        _ => false,
    };
    let mut columns: Vec<InferredColumn> = Vec::new();
    for field in event.schema.iter().flat_map(|schema| &schema.fields) {
        if let Some(column_type) = type_of_semantic(field.semantic) {
            let (is_not_null, is_key) = (!field.is_optional, is_key(&field.name));
            columns.push(InferredColumn { name: field.name.clone(), column_type, is_not_null, is_key });
        }
    }
    let images = [&event.after, &event.before].into_iter().flatten();
    for (name, field) in images.flat_map(Row::fields) {
        if columns.iter().any(|known| known.name == name) {
            continue;
        }
        if let Some(column_type) = infer_type(field) {
            let is_key = is_key(name);
            columns.push(InferredColumn { name: name.to_owned(), column_type, is_not_null: false, is_key });
        }
    }
    columns
}

/// The type that holds values like this one; `None` for null and for what was not sent.
pub fn infer_type(field: Field<'_>) -> Option<ColumnType> {
    if let Some(column_type) = type_of_semantic(field.semantic) {
        return Some(column_type);
    }
    if field.is_null() || field.is_unavailable() {
        return None;
    }
    Some(match field.raw.as_bytes().first()? {
        b't' | b'f' => ColumnType::Bool,
        b'{' | b'[' => ColumnType::Json,
        b'"' => match json::string(field.raw).and_then(|text| time::kind_of_text(&text)) {
            Some(TextKind::Date) => ColumnType::Date,
            Some(TextKind::Timestamp) => ColumnType::Timestamp,
            Some(TextKind::TimestampTz) => ColumnType::TimestampTz,
            None => ColumnType::Text,
        },
        // An integer today may have a fraction tomorrow; then the column is widened.
        _ if field.raw.parse::<i64>().is_ok() => ColumnType::Int8,
        _ => ColumnType::Numeric,
    })
}

/// Whether a column of this type can hold a value, and what it must become if not. A column only ever becomes a type
/// that holds all of its present values: integers a wider integer or `numeric`, floats `double precision` or `numeric`,
/// a `date` a `timestamp`; arrays follow their elements.
pub fn widen(column_type: &ColumnType, field: Field<'_>) -> Widening {
    let Err(error) = column_type.convert(field) else { return Widening::Fits };
    let wider = wider_types(column_type);
    let holds = |wider: &ColumnType| wider.convert(field).is_ok();
    wider.into_iter().find(holds).map_or(Widening::Impossible(error), Widening::Becomes)
}

/// The types of the same family that hold more, the narrowest first.
fn wider_types(column_type: &ColumnType) -> Vec<ColumnType> {
    use ColumnType::{Date, Float4, Float8, Int2, Int4, Int8, Numeric, Timestamp};
    match column_type {
        Int2 => vec![Int4, Int8, Numeric],
        Int4 => vec![Int8, Numeric],
        Int8 | Float8 => vec![Numeric],
        Float4 => vec![Float8, Numeric],
        Date => vec![Timestamp],
        ColumnType::Array { element, .. } => {
            wider_types(element).into_iter().map(ColumnType::array_of).collect()
        }
        _ => Vec::new(),
    }
}

/// The type for a semantic type, as `docs/decoding.md` lists them; `None` if nothing is known.
fn type_of_semantic(semantic: SemanticType) -> Option<ColumnType> {
    let element = match semantic.meaning {
        Meaning::Unknown if semantic.is_array => return Some(ColumnType::Json),
        Meaning::Unknown => return None,
        Meaning::Boolean => ColumnType::Bool,
        Meaning::Int16 => ColumnType::Int2,
        Meaning::Int32 | Meaning::Year => ColumnType::Int4,
        Meaning::Int64 => ColumnType::Int8,
        Meaning::Float32 => ColumnType::Float4,
        Meaning::Float64 => ColumnType::Float8,
        Meaning::Decimal { .. } | Meaning::VariableScaleDecimal => ColumnType::Numeric,
        // `xml` rewrites documents, and is not in every server.
        Meaning::String | Meaning::Xml => ColumnType::Text,
        Meaning::Bytes | Meaning::HexBytes => ColumnType::Bytea,
        Meaning::Document | Meaning::Json | Meaning::Geometry | Meaning::Point => ColumnType::Json,
        Meaning::Date | Meaning::IsoDate | Meaning::Structured(Structured::Date) => ColumnType::Date,
        Meaning::Time(_) | Meaning::IsoTime | Meaning::Structured(Structured::Time) => ColumnType::Time,
        Meaning::ZonedTime | Meaning::Structured(Structured::ZonedTime) => ColumnType::TimeTz,
        Meaning::Timestamp(_) | Meaning::IsoTimestamp | Meaning::Structured(Structured::Timestamp) => {
            ColumnType::Timestamp
        }
        Meaning::ZonedTimestamp | Meaning::Structured(Structured::ZonedTimestamp) => ColumnType::TimestampTz,
        Meaning::Interval | Meaning::Duration(_) | Meaning::Structured(Structured::Duration) => {
            ColumnType::Interval
        }
        Meaning::Uuid => ColumnType::Uuid,
        Meaning::Bits { .. } => ColumnType::Bit,
    };
    Some(if semantic.is_array { ColumnType::array_of(element) } else { element })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoded, Decoder, Message};
    use serde_json::json;

    fn columns(body: &str, key: &str) -> Vec<(String, String, bool, bool)> {
        let headers = json!({"cdc_key": key});
        let message = Message {
            topic: "cdc/oracle/S/T/insert",
            payload: body.as_bytes(),
            headers: headers.as_object(),
            message_id: None,
            arrival: 1,
        };
        let Decoded::Change(event) = Decoder::new(Default::default()).decode(&message).unwrap() else {
            panic!("not a change")
        };
        let tell = |column: InferredColumn| {
            (column.name, column.column_type.sql_name().to_owned(), column.is_not_null, column.is_key)
        };
        infer_columns(&event).into_iter().map(tell).collect()
    }

    fn column(name: &str, sql_name: &str, is_not_null: bool, is_key: bool) -> (String, String, bool, bool) {
        (name.into(), sql_name.into(), is_not_null, is_key)
    }

    #[test]
    fn a_schema_tells_types_nulls_and_the_key() {
        let body = r#"{"schema": {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": [
            {"field": "ID", "type": "int64", "optional": false},
            {"field": "TAGS", "type": "array", "items": {"type": "string"}, "optional": true}]}]},
            "payload": {"op": "c", "after": {"ID": 1, "TAGS": null, "NEW": 1.5}}}"#;
        let expected = [
            column("ID", "bigint", true, true),
            column("TAGS", "text[]", false, false),
            column("NEW", "numeric", false, false),
        ];
        assert_eq!(columns(body, r#"{"ID": 1}"#), expected);
    }

    #[test]
    fn without_a_schema_the_values_tell() {
        let body = r#"{"op": "c", "after": {"ID": 1, "N": null, "AMOUNT": 1.50, "DOC": {}, "OK": true, "BIG": 9223372036854775808,
            "DAY": "2024-01-15", "AT": "2024-01-15T10:30:00", "TZ": "2024-01-15T10:30:00Z", "NAME": "x"}}"#;
        let types: Vec<_> =
            columns(body, "").into_iter().map(|(name, sql_name, ..)| (name, sql_name)).collect();
        let expected = [
            ("ID", "bigint"),
            ("AMOUNT", "numeric"),
            ("DOC", "jsonb"),
            ("OK", "boolean"),
            ("BIG", "numeric"),
            ("DAY", "date"),
            ("AT", "timestamp"),
            ("TZ", "timestamptz"),
            ("NAME", "text"),
        ];
        assert_eq!(types, expected.map(|(name, sql_name)| (name.to_owned(), sql_name.to_owned())));
    }

    #[test]
    fn a_column_becomes_the_narrowest_type_that_holds_both() {
        let becomes = |column_type: ColumnType, raw: &str| match widen(&column_type, raw.into()) {
            Widening::Fits => "fits".to_owned(),
            Widening::Becomes(wider) => wider.sql_name().to_owned(),
            Widening::Impossible(error) => error.to_string(),
        };
        assert_eq!(becomes(ColumnType::Int4, "5"), "fits");
        assert_eq!(becomes(ColumnType::Int4, "\"100\""), "fits");
        assert_eq!(becomes(ColumnType::Int2, "40000"), "integer");
        assert_eq!(becomes(ColumnType::Int4, "3000000000"), "bigint");
        assert_eq!(becomes(ColumnType::Int8, "1.5"), "numeric");
        assert_eq!(becomes(ColumnType::Float4, "1e300"), "double precision");
        assert_eq!(becomes(ColumnType::Date, "\"2024-01-15T10:30:00\""), "timestamp");
        assert_eq!(becomes(ColumnType::array_of(ColumnType::Int4), "[3000000000]"), "bigint[]");
        assert_eq!(becomes(ColumnType::Int8, "\"abc\""), "expected a bigint, found abc");
        assert_eq!(becomes(ColumnType::Bool, "2"), "expected a boolean, found 2");
    }
}
