//! From columns of values to the arrays that a statement takes as its parameters.

use cdc_core::{ColumnType, Value};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

use super::array_datum::{ArrayDatum, Date, Element, Timestamp};
use super::numeric_datum::Decimal;

/// A parameter, and the SQL that makes its elements values of the column.
pub(crate) struct ArrayParameter {
    /// The datum with its type.
    pub(crate) datum: DatumWithOid<'static>,
    /// The type of the array's elements, e.g. `bigint`.
    pub(super) element_type: &'static str,
}

/// Makes the array of one column; its values must fit `column_type`, as conversion made them.
pub(super) fn array<'v>(
    column_type: &ColumnType,
    values: impl Iterator<Item = &'v Value<'v>> + Clone,
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
        ColumnType::Numeric => numbers(values.clone()).unwrap_or_else(|| texts(values)),
        _ => texts(values),
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

fn collect<'v, T: Element>(
    element_type: &'static str,
    values: impl Iterator<Item = &'v Value<'v>>,
    read: impl Fn(&'v Value<'v>) -> Option<T>,
) -> ArrayParameter {
    parameter_of(element_type, values.map(read))
}

/// Values that the server reads from their text.
fn texts<'v>(values: impl Iterator<Item = &'v Value<'v>>) -> ArrayParameter {
    collect("text", values, |value| match value {
        Value::Numeric(text) | Value::Text(text) | Value::Json(text) => Some(text.as_ref()),
        _ => None,
    })
}

/// Numbers as the server stores them; `None` if one of them is too unusual for that.
fn numbers<'v>(values: impl Iterator<Item = &'v Value<'v>>) -> Option<ArrayParameter> {
    let read = |value: &'v Value<'v>| match value {
        Value::Numeric(text) => Decimal::parse(text).map(Some),
        _ => Some(None),
    };
    let numbers = values.map(read).collect::<Option<Vec<_>>>()?;
    Some(parameter_of("numeric", numbers))
}

/// An array of values of one type, which has this name in SQL.
pub(crate) fn parameter<T: Element>(element_type: &'static str, values: Vec<Option<T>>) -> ArrayParameter {
    parameter_of(element_type, values)
}

/// The same of values that need not be in a list.
pub(super) fn parameter_of<T: Element>(
    element_type: &'static str,
    values: impl IntoIterator<Item = Option<T>>,
) -> ArrayParameter {
    let array = ArrayDatum::new(values);
    // SAFETY: looks up the array type of a built-in type; the array is of that type.
    let datum = unsafe { DatumWithOid::new(array, pg_sys::get_array_type(T::OID)) };
    ArrayParameter { datum, element_type }
}

/// An array of moments given in microseconds since 2000-01-01 UTC.
pub(super) fn timestamps(values: impl Iterator<Item = Option<i64>>) -> ArrayParameter {
    parameter_of("timestamp", values.map(|value| value.map(Timestamp)))
}
