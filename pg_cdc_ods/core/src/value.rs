//! From raw JSON text to a typed value of a PostgreSQL column, without losing a digit.
//!
//! Numbers never pass through `f64` unless the column itself is a float: digits go from the JSON text to the column.

use std::borrow::Cow;

use crate::json;
use crate::timestamp::{parse_date, parse_timestamp, parse_timestamptz};

/// The type of a target column, as far as conversion needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`, any precision
    Numeric,
    /// `text`, `varchar` or `char`
    Text,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `jsonb` or `json`
    Json,
    /// Any other type, by its SQL name: the server reads the value from its text.
    Other(String),
}

/// A value ready for its column. Each variant fits the [`ColumnType`] of the same name.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL
    Null,
    /// For `boolean`
    Bool(bool),
    /// For the three integer types, in the column's range
    Int(i64),
    /// For the two float types
    Float(f64),
    /// For `numeric`: a number that `numeric_in` accepts, digits as they came
    Numeric(Cow<'a, str>),
    /// For `text`, and for [`ColumnType::Other`]; free of zero bytes
    Text(Cow<'a, str>),
    /// Days since 2000-01-01
    Date(i32),
    /// Microseconds since 2000-01-01, for both timestamp types
    Timestamp(i64),
    /// A JSON document that `jsonb` accepts
    Json(Cow<'a, str>),
}

/// A value that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct ValueError {
    /// What the column takes.
    pub expected: Cow<'static, str>,
    /// The value as it came, shortened to [`ValueError::FOUND_CHARS`].
    pub found: String,
}

impl ValueError {
    /// How much of a value an error shows, in characters: enough to find it, not enough to flood a log.
    pub const FOUND_CHARS: usize = 80;

    fn new(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        let mut shown: String = found.chars().take(Self::FOUND_CHARS).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        Self { expected: expected.into(), found: shown }
    }
}

impl ColumnType {
    /// The SQL name of the type of the array that carries the values to the server, and of the values in it.
    ///
    /// Types that are not listed go as text; the statement casts them.
    pub fn sql_name(&self) -> &str {
        match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Json => "jsonb",
            Self::Other(name) => name,
        }
    }

    /// Converts a raw JSON value (as it stands in the event) to this type.
    ///
    /// # Errors
    /// [`ValueError`] if the value does not fit; it names what was expected and shows the value.
    pub fn convert<'a>(&self, raw: &'a str) -> Result<Value<'a>, ValueError> {
        if raw == "null" {
            return Ok(Value::Null);
        }
        if *self == Self::Json {
            return json_document(raw);
        }
        let text = if raw.starts_with('"') {
            json::string(raw).ok_or_else(|| ValueError::new("a text of valid characters", raw))?
        } else {
            Cow::Borrowed(raw)
        };
        self.read_text(text)
    }

    /// Converts plain text, e.g. one that a column rule made, to this type.
    ///
    /// # Errors
    /// As [`ColumnType::convert`].
    pub fn read_text<'a>(&self, text: Cow<'a, str>) -> Result<Value<'a>, ValueError> {
        let mismatch = |expected: &'static str| ValueError::new(expected, &text);
        let value = match self {
            Self::Bool => Value::Bool(boolean(&text).ok_or_else(|| mismatch("a boolean"))?),
            Self::Int2 => integer(&text, "a smallint", i16::MIN.into(), i16::MAX.into())?,
            Self::Int4 => integer(&text, "an integer", i32::MIN.into(), i32::MAX.into())?,
            Self::Int8 => integer(&text, "a bigint", i64::MIN, i64::MAX)?,
            Self::Float4 | Self::Float8 => Value::Float(float(&text).ok_or_else(|| mismatch("a number"))?),
            Self::Date => Value::Date(parse_date(&text).ok_or_else(|| mismatch("a date"))?),
            Self::Timestamp => {
                Value::Timestamp(parse_timestamp(&text).ok_or_else(|| mismatch("a timestamp"))?)
            }
            Self::TimestampTz => {
                let micros =
                    parse_timestamptz(&text).ok_or_else(|| mismatch("a timestamp with time zone"))?;
                Value::Timestamp(micros)
            }
            Self::Numeric if is_number(text.trim()) => Value::Numeric(text),
            Self::Numeric => return Err(mismatch("a number")),
            Self::Json => Value::Json(Cow::Owned(quoted(&text))),
            Self::Text | Self::Other(_) if text.contains('\0') => {
                return Err(mismatch("a text without zero characters"));
            }
            Self::Text | Self::Other(_) => Value::Text(text),
        };
        Ok(value)
    }
}

/// A JSON value as it is; a JSON string that itself holds an object or an array is that document.
fn json_document(raw: &str) -> Result<Value<'_>, ValueError> {
    let unfit = || ValueError::new("JSON without zero characters or lone surrogates", raw);
    let inner = json::string(raw).filter(|text| text.trim_start().starts_with(['{', '[']));
    if let Some(text) = inner.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()) {
        return if json::fits_jsonb(&text) { Ok(Value::Json(text)) } else { Err(unfit()) };
    }
    if json::fits_jsonb(raw) { Ok(Value::Json(Cow::Borrowed(raw))) } else { Err(unfit()) }
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json::push_string(&mut json, text);
    json
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "true" | "TRUE" | "t" | "T" | "Y" | "y" => Some(true),
        "0" | "false" | "FALSE" | "f" | "F" | "N" | "n" => Some(false),
        _ => None,
    }
}

/// An integer, also one written with a fraction of zeros (`5.00`), as NUMBER columns come.
fn integer<'a>(text: &str, expected: &'static str, min: i64, max: i64) -> Result<Value<'a>, ValueError> {
    let number = text.trim();
    let whole = match number.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return Err(ValueError::new(expected, text)),
        None => number,
    };
    match whole.parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(Value::Int(value)),
        _ => Err(ValueError::new(expected, text)),
    }
}

fn float(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok()
}

/// Sign, digits with at most one point, exponent: the numbers that JSON and `numeric_in` both know.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|part| !part.is_empty() && part.len() <= 4 && all_digits(part));
    has_digits && all_digits(whole) && all_digits(fraction) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert<'a>(column_type: &ColumnType, raw: &'a str) -> Option<Value<'a>> {
        column_type.convert(raw).ok()
    }

    #[test]
    fn null_is_null_for_every_type() {
        for column_type in [ColumnType::Int8, ColumnType::Text, ColumnType::Json, ColumnType::Timestamp] {
            assert_eq!(convert(&column_type, "null"), Some(Value::Null));
        }
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
        for wrong in ["5.5", "5.", "\"\"", "\"x\"", "true", "{}", "1e3"] {
            assert_eq!(convert(&ColumnType::Int8, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_safe_change_of_type_is_followed() {
        assert_eq!(convert(&ColumnType::Int8, "\"100\""), Some(Value::Int(100)));
        assert_eq!(convert(&ColumnType::Text, "100.50"), Some(Value::Text("100.50".into())));
        assert_eq!(convert(&ColumnType::Bool, "1"), Some(Value::Bool(true)));
        assert_eq!(convert(&ColumnType::Bool, "\"false\""), Some(Value::Bool(false)));
        assert_eq!(convert(&ColumnType::Bool, "2"), None);
    }

    #[test]
    fn text_cannot_hold_zero_characters() {
        assert_eq!(convert(&ColumnType::Text, r#""a\u0000b""#), None);
        assert_eq!(convert(&ColumnType::Text, r#""\ud800""#), None);
        assert_eq!(convert(&ColumnType::Json, r#"{"a":"\u0000"}"#), None);
    }

    #[test]
    fn json_in_a_string_is_a_document_and_other_text_a_json_string() {
        assert_eq!(convert(&ColumnType::Json, r#""{\"a\": 1}""#), Some(Value::Json(r#"{"a": 1}"#.into())));
        assert_eq!(convert(&ColumnType::Json, r#""{not json""#), Some(Value::Json(r#""{not json""#.into())));
        assert_eq!(
            convert(&ColumnType::Json, r#"[1, {"b": 2.50}]"#),
            Some(Value::Json(r#"[1, {"b": 2.50}]"#.into()))
        );
    }

    #[test]
    fn numbers_have_digits_and_a_sane_exponent() {
        for good in ["0", "-1", "+1", "1.", ".5", "1e5", "1.5E-10"] {
            assert!(is_number(good), "{good}");
        }
        for wrong in ["", "-", ".", "1e", "1e99999", "1,5", "0x1", "NaN", "Infinity", "1 2"] {
            assert!(!is_number(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_error_shows_what_was_expected_and_a_bounded_value() {
        let long = format!("\"{}\"", "x".repeat(500));
        let error = ColumnType::Int8.convert(&long).unwrap_err();
        assert_eq!(error.expected, "a bigint");
        assert_eq!(error.found.chars().count(), ValueError::FOUND_CHARS + 1);
    }
}
