//! From columns of values to the arrays that a statement takes as its parameters.

use cdc_core::{ColumnType, Value};
use pgrx::datum::DatumWithOid;
use pgrx::{IntoDatum, pg_sys};

/// A parameter, and the SQL that makes its elements values of the column.
pub(crate) struct ArrayParameter {
    /// The datum with its type.
    pub(crate) datum: DatumWithOid<'static>,
    /// The type of the array's elements, e.g. `bigint`.
    pub(super) element_type: &'static str,
}

/// Microseconds since 2000-01-01, as `timestamp` stores them.
struct Timestamp(i64);

impl IntoDatum for Timestamp {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(pg_sys::Datum::from(self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TIMESTAMPOID
    }
}

/// Days since 2000-01-01, as `date` stores them.
struct Date(i32);

impl IntoDatum for Date {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(pg_sys::Datum::from(self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::DATEOID
    }
}

/// Makes the array of one column; its values must fit `column_type`, as conversion made them.
pub(super) fn array<'v>(
    column_type: &ColumnType,
    values: impl Iterator<Item = &'v Value<'v>>,
) -> ArrayParameter {
    match column_type {
        ColumnType::Bool => collect("boolean", values, |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => {
            collect("bigint", values, |value| match value {
                Value::Int(value) => Some(*value),
                _ => None,
            })
        }
        ColumnType::Float4 | ColumnType::Float8 => collect("double precision", values, |value| match value {
            Value::Float(value) => Some(*value),
            _ => None,
        }),
        ColumnType::Date => collect("date", values, |value| match value {
            Value::Date(days) => Some(Date(*days)),
            _ => None,
        }),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            collect("timestamp", values, |value| match value {
                Value::Timestamp(micros) => Some(Timestamp(*micros)),
                _ => None,
            })
        }
        // All others go as text, which the server reads.
        _ => collect("text", values, |value| match value {
            Value::Numeric(text) | Value::Text(text) | Value::Json(text) => Some(text.as_ref()),
            _ => None,
        }),
    }
}

/// The expression that turns an element into a value of the column.
pub(super) fn element(column_type: &ColumnType, name: &str) -> String {
    match column_type {
        ColumnType::TimestampTz => format!("e.{name} at time zone 'UTC'"),
        ColumnType::Bool
        | ColumnType::Int8
        | ColumnType::Float8
        | ColumnType::Date
        | ColumnType::Timestamp => {
            format!("e.{name}")
        }
        other => format!("e.{name}::{}", other.sql_name()),
    }
}

fn collect<'v, T: IntoDatum>(
    element_type: &'static str,
    values: impl Iterator<Item = &'v Value<'v>>,
    read: impl Fn(&'v Value<'v>) -> Option<T>,
) -> ArrayParameter {
    parameter(element_type, values.map(read).collect())
}

/// An array of any element type that PostgreSQL has an array type for.
pub(crate) fn parameter<T: IntoDatum>(element_type: &'static str, values: Vec<Option<T>>) -> ArrayParameter {
    let oid = <Vec<Option<T>>>::type_oid();
    // SAFETY: the datum is made from this value, whose type is the one named.
    let datum = unsafe { DatumWithOid::new(values, oid) };
    ArrayParameter { datum, element_type }
}

/// An array of moments given in microseconds since 2000-01-01 UTC.
pub(super) fn timestamps(values: Vec<Option<i64>>) -> ArrayParameter {
    parameter("timestamp", values.into_iter().map(|value| value.map(Timestamp)).collect())
}
