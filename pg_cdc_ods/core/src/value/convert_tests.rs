//! Values of events in columns of each type.

use super::{ColumnType, Value};
use crate::reject::ErrorType;
use crate::row::Field;
use crate::schema::{Meaning, SemanticType, TimeUnit};

fn convert<'a>(column_type: &ColumnType, raw: &'a str) -> Option<Value<'a>> {
    column_type.convert(raw).ok()
}

fn typed<'a>(column_type: &ColumnType, meaning: Meaning, raw: &'a str) -> Option<Value<'a>> {
    column_type.convert(Field { raw, semantic: SemanticType::of(meaning) }).ok()
}

fn text(text: &str) -> Option<Value<'_>> {
    Some(Value::Text(text.into()))
}

#[test]
fn null_is_null_for_every_type() {
    for column_type in [ColumnType::Int8, ColumnType::Text, ColumnType::Json, ColumnType::Timestamp] {
        assert_eq!(convert(&column_type, "null"), Some(Value::Null));
    }
    assert_eq!(typed(&ColumnType::Numeric, Meaning::Decimal { scale: 2 }, "null"), Some(Value::Null));
}

#[test]
fn numbers_keep_every_digit() {
    let digits = "12345678901234567890123456789012345678.10";
    assert_eq!(convert(&ColumnType::Numeric, digits), Some(Value::Numeric(digits.into())));
    assert_eq!(convert(&ColumnType::Numeric, r#""-0.50""#), Some(Value::Numeric("-0.50".into())));
    assert_eq!(convert(&ColumnType::Int8, "9223372036854775807"), Some(Value::Int(i64::MAX)));
    assert_eq!(convert(&ColumnType::Int8, "5.00"), Some(Value::Int(5)));
}

#[test]
fn integers_stop_at_their_range() {
    assert_eq!(convert(&ColumnType::Int2, "32767"), Some(Value::Int(32_767)));
    assert_eq!(convert(&ColumnType::Int2, "32768"), None);
    assert_eq!(convert(&ColumnType::Int4, "-2147483648"), Some(Value::Int(i32::MIN.into())));
    assert_eq!(convert(&ColumnType::Int4, "-2147483649"), None);
    assert_eq!(convert(&ColumnType::Int8, "9223372036854775808"), None);
    for wrong in ["5.5", "\"\"", "\"x\"", "true", "{}", "[]"] {
        assert_eq!(convert(&ColumnType::Int8, wrong), None, "{wrong}");
    }
}

#[test]
fn a_safe_change_of_type_is_followed() {
    assert_eq!(convert(&ColumnType::Int8, "\"100\""), Some(Value::Int(100)));
    assert_eq!(convert(&ColumnType::Text, "100.50"), text("100.50"));
    assert_eq!(convert(&ColumnType::Bool, "1"), Some(Value::Bool(true)));
    assert_eq!(convert(&ColumnType::Bool, "0.0"), Some(Value::Bool(false)));
    assert_eq!(convert(&ColumnType::Bool, "\"false\""), Some(Value::Bool(false)));
    assert_eq!(convert(&ColumnType::Bool, "2"), None);
}

#[test]
fn special_numbers_go_where_they_have_a_place() {
    assert_eq!(convert(&ColumnType::Numeric, "\"NaN\""), Some(Value::Numeric("NaN".into())));
    assert_eq!(convert(&ColumnType::Float8, "\"-Infinity\""), Some(Value::Float(f64::NEG_INFINITY)));
    assert_eq!(convert(&ColumnType::Int8, "\"NaN\""), None);
    assert_eq!(convert(&ColumnType::Float8, "1e400"), None);
}

#[test]
fn text_cannot_hold_zero_characters() {
    assert_eq!(convert(&ColumnType::Text, r#""a\u0000b""#), None);
    assert_eq!(convert(&ColumnType::Text, r#""\ud800""#), None);
    assert_eq!(convert(&ColumnType::Json, r#"{"a":"\u0000"}"#), None);
    assert_eq!(convert(&ColumnType::Other("citext".into()), r#""\u0000""#), None);
}

#[test]
fn json_in_a_string_is_a_document_and_other_text_a_json_string() {
    let json = |text: &'static str| Some(Value::Json(text.into()));
    assert_eq!(convert(&ColumnType::Json, r#""{\"a\": 1}""#), json(r#"{"a": 1}"#));
    assert_eq!(convert(&ColumnType::Json, r#""{not json""#), json(r#""{not json""#));
    assert_eq!(convert(&ColumnType::Json, r#"[1, {"b": 2.50}]"#), json(r#"[1, {"b": 2.50}]"#));
    assert_eq!(typed(&ColumnType::Json, Meaning::Json, r#""5""#), json("5"));
    assert_eq!(typed(&ColumnType::Json, Meaning::Json, r#""{""#), None);
}

#[test]
fn a_document_nested_too_deep_is_too_large() {
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    assert_eq!(ColumnType::Json.convert(deep.as_str()).unwrap_err().error_type, ErrorType::TooLarge);
}

#[test]
fn bytes_come_in_base64_or_behind_a_prefix_in_hex() {
    assert_eq!(convert(&ColumnType::Bytea, r#""yv66vg==""#), text("\\xcafebabe"));
    assert_eq!(convert(&ColumnType::Bytea, r#""yv66vg""#), text("\\xcafebabe"));
    assert_eq!(convert(&ColumnType::Bytea, r#""\\xcafebabe""#), text("\\xcafebabe"));
    assert_eq!(typed(&ColumnType::Bytea, Meaning::HexBytes, r#""cafebabe""#), text("\\xcafebabe"));
    assert_eq!(convert(&ColumnType::Bytea, r#""no bytes""#), None);
}

#[test]
fn bare_counts_are_guided_by_the_column() {
    let midnight = Some(Value::Timestamp(758_592_000_000_000));
    for count in ["1705276800000", "1705276800000000", "1705276800000000000"] {
        assert_eq!(convert(&ColumnType::Timestamp, count), midnight, "{count}");
        assert_eq!(convert(&ColumnType::Date, count), Some(Value::Date(8_780)), "{count}");
    }
    assert_eq!(convert(&ColumnType::Date, "19737"), Some(Value::Date(8_780)));
    assert_eq!(convert(&ColumnType::Time, "37800000"), text("10:30:00"));
    assert_eq!(convert(&ColumnType::Interval, "1500000"), text("PT1.5S"));
    assert_eq!(convert(&ColumnType::Timestamp, "1.5"), None);
}

#[test]
fn times_keep_every_digit_where_the_column_can() {
    let nanos = Meaning::Timestamp(TimeUnit::Nanos);
    let raw = "1705314600123456789";
    assert_eq!(typed(&ColumnType::Text, nanos, raw), text("2024-01-15T10:30:00.123456789"));
    assert_eq!(typed(&ColumnType::Timestamp, nanos, raw), Some(Value::Timestamp(758_629_800_123_457)));
    assert_eq!(typed(&ColumnType::Numeric, nanos, raw), Some(Value::Numeric(raw.into())));
    assert_eq!(typed(&ColumnType::Date, nanos, raw), None, "a time of day would be lost");
    let span = typed(&ColumnType::Interval, Meaning::Time(TimeUnit::Micros), "-90000000000");
    assert_eq!(span, text("PT-25H"));
    let longest = Meaning::Duration(TimeUnit::Micros);
    assert_eq!(typed(&ColumnType::Interval, longest, "7730941129200000000"), text("PT2147483647H"));
    assert_eq!(typed(&ColumnType::Interval, longest, "7730941129200000001"), None);
    assert_eq!(typed(&ColumnType::Time, Meaning::Time(TimeUnit::Micros), "-1"), None);
}

#[test]
fn moments_beyond_postgresqls_are_refused() {
    let millis = Meaning::Timestamp(TimeUnit::Millis);
    assert_eq!(typed(&ColumnType::Timestamp, millis, "9223372036854775807"), None);
    assert_eq!(convert(&ColumnType::Timestamp, r#""300000-01-01T00:00:00""#), None);
    assert_eq!(typed(&ColumnType::Date, Meaning::Date, "2147483646"), None);
}

#[test]
fn decimals_in_bytes_need_no_schema_if_their_scale_is_with_them() {
    let raw = r#"{"scale": 2, "value": "BNI="}"#;
    assert_eq!(convert(&ColumnType::Numeric, raw), Some(Value::Numeric("12.34".into())));
    assert_eq!(convert(&ColumnType::Int8, r#"{"scale": 0, "value": "BNI="}"#), Some(Value::Int(1234)));
    assert_eq!(convert(&ColumnType::Int8, raw), None);
    assert_eq!(convert(&ColumnType::Numeric, r#"{"scale": 2, "value": ""}"#), None);
    let decimal = Meaning::Decimal { scale: 2 };
    assert_eq!(typed(&ColumnType::Numeric, decimal, "12.34"), Some(Value::Numeric("12.34".into())));
}

#[test]
fn arrays_become_postgresqls() {
    let array = |element| ColumnType::array_of(element);
    assert_eq!(convert(&array(ColumnType::Int4), "[1, null, -3]"), text(r#"{"1",NULL,"-3"}"#));
    assert_eq!(convert(&array(ColumnType::Text), r#"["a\"b", "c\\d"]"#), text(r#"{"a\"b","c\\d"}"#));
    assert_eq!(convert(&array(ColumnType::Int4), "[[1],[2]]"), text(r#"{{"1"},{"2"}}"#));
    assert_eq!(convert(&array(ColumnType::Int4), r#"["x"]"#), None);
    assert_eq!(convert(&array(ColumnType::Int4), &"[".repeat(50)), None);
    let dates = Field { raw: "[19737]", semantic: SemanticType::array(Meaning::Date) };
    assert_eq!(array(ColumnType::Date).convert(dates).ok(), text(r#"{"2024-01-15"}"#));
    assert_eq!(convert(&ColumnType::Int4, "[1]"), None);
    assert_eq!(convert(&ColumnType::Json, "[1]"), Some(Value::Json("[1]".into())));
}

#[test]
fn uuids_and_bits_are_checked() {
    let uuid = r#""0b0d8d4e-7a52-4a57-9c5e-0a9a3c1d2e3f""#;
    assert_eq!(convert(&ColumnType::Uuid, uuid), text(uuid.trim_matches('"')));
    for same in [r#""0B0D8D4E7A524A579C5E0A9A3C1D2E3F""#, r#"" {0b0d-8d4e7a52-4a57-9c5e0a9a-3c1d2e3f} ""#] {
        assert_eq!(convert(&ColumnType::Uuid, same), text(uuid.trim_matches('"')), "{same}");
    }
    for wrong in [
        r#""0b0d8d4e""#,
        r#""0b0d8d4e7a524a579c5e0a9a3c1d2e3g""#,
        r#""0b0d8d4e--7a52-4a57-9c5e-0a9a3c1d2e3f""#,
        r#""0b0d8d4e-7a52-4a57-9c5e-0a9a3c1d2e3f-""#,
        r#""""#,
    ] {
        assert_eq!(convert(&ColumnType::Uuid, wrong), None, "{wrong}");
    }
    let bits = Meaning::Bits { length: Some(5) };
    assert_eq!(typed(&ColumnType::Bit, bits, r#""Fg==""#), text("10110"));
    assert_eq!(typed(&ColumnType::Int4, bits, r#""Fg==""#), Some(Value::Int(22)));
    assert_eq!(convert(&ColumnType::Bit, r#""012""#), None);
}

#[test]
fn overflow_keeps_what_the_schema_said() {
    let json =
        |meaning, raw| Field { raw, semantic: SemanticType::of(meaning) }.to_json().unwrap().into_owned();
    assert_eq!(json(Meaning::Decimal { scale: 2 }, r#""BNI=""#), "12.34");
    assert_eq!(json(Meaning::Timestamp(TimeUnit::Millis), "0"), r#""1970-01-01T00:00:00""#);
    assert_eq!(json(Meaning::Json, r#""{\"a\":1}""#), r#"{"a":1}"#);
    assert_eq!(json(Meaning::Bytes, r#""yv66vg==""#), r#""yv66vg==""#);
    assert_eq!(json(Meaning::Unknown, "1.50"), "1.50");
    assert_eq!(json(Meaning::Date, "2147483646"), "2147483646");
}

#[test]
fn an_error_shows_what_was_expected_and_a_bounded_value() {
    let long = format!("\"{}\"", "x".repeat(500));
    let error = ColumnType::Int8.convert(long.as_str()).unwrap_err();
    assert_eq!(error.expected, "a bigint");
    assert_eq!(error.found.chars().count(), super::ValueError::FOUND_CHARS + 1);
}
