//! From a value of an event to a value of a PostgreSQL column, without losing a digit or a byte.
//!
//! ```text
//! raw JSON + semantic type ──source_value──► SourceValue ──convert──► Value of the column's type
//! ```
//!
//! Numbers never pass through `f64` unless the column itself is a float: digits go from the JSON text to the column.
//! What each semantic type becomes stands in `docs/decoding.md`.

mod array;
mod binary;
mod column_type;
mod convert;
mod geometry;
mod number;
mod source_value;
mod structured;

use std::borrow::Cow;

use crate::time;

use crate::reject::ErrorType;

pub(crate) use binary::push_hex;
pub use column_type::ColumnType;
pub(crate) use convert::to_json;
use source_value::SourceValue;

/// A value ready for its column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL
    Null,
    /// For `boolean`
    Bool(bool),
    /// For the three integer types, in the column's range
    Int(i64),
    /// For the two float types, in the column's range
    Float(f64),
    /// For `numeric`: a number that `numeric_in` accepts, digits as they came
    Numeric(Cow<'a, str>),
    /// For `text`, and for all types that have no variant of their own, in the form that the server reads; free of
    /// zero bytes
    Text(Cow<'a, str>),
    /// Days since 2000-01-01; the ends of the range are `infinity` and `-infinity`
    Date(i32),
    /// Microseconds since 2000-01-01, for both timestamp types; the ends of the range are `infinity` and `-infinity`
    Timestamp(i64),
    /// A JSON document that `jsonb` accepts
    Json(Cow<'a, str>),
}

impl Value<'_> {
    /// The text that the server reads as this value; `None` for NULL. A moment is printed in UTC, without saying so.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Float(value) => Cow::Owned(value.to_string()),
            Self::Date(days) => Cow::Owned(time::date_for_server(*days)),
            Self::Timestamp(micros) => Cow::Owned(time::timestamp_for_server(*micros)),
            Self::Numeric(text) | Self::Text(text) | Self::Json(text) => Cow::Borrowed(text),
        })
    }
}

/// A value that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct ValueError {
    /// What the column takes.
    pub expected: Cow<'static, str>,
    /// The value as it came, shortened to [`ValueError::FOUND_CHARS`].
    pub found: String,
    /// `SCHEMA_MISMATCH`, or `TOO_LARGE` if the value is beyond a limit.
    pub error_type: ErrorType,
}

impl ValueError {
    /// How much of a value an error shows, in characters: enough to find it, not enough to flood a log.
    pub const FOUND_CHARS: usize = 80;

    pub(crate) fn new(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self::of(ErrorType::SchemaMismatch, expected.into(), found)
    }

    pub(crate) fn too_large(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self::of(ErrorType::TooLarge, expected.into(), found)
    }

    fn of(error_type: ErrorType, expected: Cow<'static, str>, found: &str) -> Self {
        let mut shown: String = found.chars().take(Self::FOUND_CHARS).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        Self { expected, found: shown, error_type }
    }
}

#[cfg(test)]
mod convert_tests;
#[cfg(test)]
mod table_tests;
