//! Keys as bytes: what a fold, and the memory of deletes and columns, find a row by.

use std::borrow::Cow;

use crate::{ColumnType, Value};

/// Appends a key value so that two keys have the same bytes exactly if they are the same key.
pub(crate) fn push_key(bytes: &mut Vec<u8>, value: &Value<'_>) {
    let text = match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(value) => Cow::Owned(value.to_string()),
        Value::Int(value) | Value::Timestamp(value) => return push_integer(bytes, *value),
        Value::Date(value) => return push_integer(bytes, (*value).into()),
        Value::Float(value) => Cow::Owned(value.to_string()),
        Value::Numeric(text) => Cow::Owned(canonical_number(text)),
        Value::Text(text) | Value::Json(text) => Cow::Borrowed(text.as_ref()),
    };
    push_bytes(bytes, text.as_bytes());
}

fn push_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
    bytes.extend_from_slice(value);
}

/// Appends an integer as its decimal digits.
fn push_integer(bytes: &mut Vec<u8>, value: i64) {
    push_bytes(bytes, itoa::Buffer::new().format(value).as_bytes());
}

/// A number without leading and trailing zeros, so that `1`, `01` and `1.00` are one key. Exponents stay as they
/// are: no source writes keys with them.
fn canonical_number(text: &str) -> String {
    let text = text.trim();
    if text.contains(['e', 'E']) {
        return text.to_ascii_lowercase();
    }
    let (sign, digits) =
        text.strip_prefix('-').map_or(("", text.trim_start_matches('+')), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

/// The values of a key with columns of these types, from what [`push_key`] has written.
pub(crate) fn from_bytes<'t>(
    types: impl Iterator<Item = &'t ColumnType>,
    mut bytes: &[u8],
) -> Option<Vec<Value<'static>>> {
    let mut take = |column_type| {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        value(column_type, std::str::from_utf8(text).ok()?)
    };
    let key = types.map(&mut take).collect::<Option<Vec<_>>>()?;
    bytes.is_empty().then_some(key)
}

/// The value of a type from the text that stands for it in a key.
fn value(column_type: &ColumnType, text: &str) -> Option<Value<'static>> {
    use ColumnType as T;
    let owned = || Cow::Owned(text.to_owned());
    Some(match column_type {
        T::Bool => Value::Bool(text.parse().ok()?),
        T::Int2 | T::Int4 | T::Int8 => Value::Int(text.parse().ok()?),
        T::Float4 | T::Float8 => Value::Float(text.parse().ok()?),
        T::Numeric => Value::Numeric(owned()),
        T::Date => Value::Date(text.parse().ok()?),
        T::Timestamp | T::TimestampTz => Value::Timestamp(text.parse().ok()?),
        T::Json | T::JsonText => Value::Json(owned()),
        _ => Value::Text(owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_have_equal_bytes() {
        let bytes = |number: &str| {
            let mut bytes = Vec::new();
            push_key(&mut bytes, &Value::Numeric(number.to_owned().into()));
            bytes
        };
        assert_eq!(bytes("1"), bytes("01.00"));
        assert_eq!(bytes("-0"), bytes("0.0"));
        assert_ne!(bytes("10"), bytes("1"));
    }

    #[test]
    fn integers_are_written_in_digits() {
        for value in [0, 7, -1, 10, 99_999, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            push_key(&mut bytes, &Value::Int(value));
            assert_eq!(bytes[4..], *value.to_string().as_bytes());
            assert_eq!(bytes[..4], (bytes.len() as u32 - 4).to_be_bytes());
        }
    }

    #[test]
    fn a_key_comes_back_from_its_bytes() {
        let key = [
            (ColumnType::Int8, Value::Int(-7)),
            (ColumnType::Text, Value::Text("a\u{1f600}".into())),
            (ColumnType::Date, Value::Date(-1)),
            (ColumnType::TimestampTz, Value::Timestamp(1)),
            (ColumnType::Numeric, Value::Numeric("1.5".into())),
            (ColumnType::Bool, Value::Bool(true)),
            (ColumnType::Float8, Value::Float(0.1)),
            (ColumnType::Uuid, Value::Text("".into())),
        ];
        let (types, values): (Vec<_>, Vec<_>) = key.into_iter().unzip();
        let mut bytes = Vec::new();
        values.iter().for_each(|value| push_key(&mut bytes, value));
        assert_eq!(from_bytes(types.iter(), &bytes), Some(values));
        assert_eq!(from_bytes(types.iter(), &bytes[..bytes.len() - 1]), None);
        assert_eq!(from_bytes(types[1..].iter(), &bytes), None);
    }
}
