//! What a value says at its source, once its semantic type is understood and before a column type is asked for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ValueError, binary, number, structured};
use crate::row::Field;
use crate::schema::{Meaning, TimeUnit};
use crate::{json, time};

/// A value as its source meant it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SourceValue<'a> {
    /// The JSON says it all, or nothing more is known.
    Json(&'a str),
    /// A decimal number, or one of the special values.
    Number(Cow<'a, str>),
    /// A text in a form that the columns it fits can read.
    Text(Cow<'a, str>),
    /// A JSON document that came in a string.
    Document(Cow<'a, str>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Bits, the highest first.
    Bits(String),
    /// Days since 1970-01-01.
    Date(i64),
    /// Nanoseconds since midnight; beyond a day, or negative, it is a span of time.
    Time(i128),
    /// A count since 1970-01-01.
    Timestamp(i64, TimeUnit),
    /// Nanoseconds.
    Duration(i128),
}

/// `io.debezium.data.VariableScaleDecimal`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableScaleDecimal<'a> {
    scale: i32,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

impl<'a> SourceValue<'a> {
    /// Reads a value that is not null, by what its schema says. A value of another kind than its schema's is taken as
    /// the JSON that it is: converters between the source and here may have changed it and left the schema.
    ///
    /// # Errors
    /// [`ValueError`] if the value is of that kind and broken.
    pub(crate) fn read(field: Field<'a>) -> Result<Self, ValueError> {
        let raw = field.raw;
        let text = || json::string(raw);
        let integer = || raw.parse::<i64>().ok();
        Ok(match field.semantic.meaning {
            Meaning::Decimal { scale } if raw.starts_with('"') => Self::Number(decimal(raw, text(), scale)?),
            Meaning::VariableScaleDecimal if raw.starts_with('{') => match variable_scale_decimal(raw)? {
                Some(number) => Self::Number(number),
                None => return Err(ValueError::new("a scale and an unscaled value", raw)),
            },
            Meaning::Bytes if raw.starts_with('"') => Self::Bytes(bytes(raw, text(), binary::from_base64)?),
            Meaning::HexBytes if raw.starts_with('"') => Self::Bytes(bytes(raw, text(), binary::from_hex)?),
            Meaning::Bits { length } if raw.starts_with('"') => {
                Self::Bits(binary::to_bits(&bytes(raw, text(), binary::from_base64)?, length))
            }
            Meaning::Date => integer().map_or(Self::Json(raw), Self::Date),
            Meaning::Time(unit) => {
                integer().map_or(Self::Json(raw), |count| Self::Time(i128::from(count) * unit.nanos()))
            }
            Meaning::Timestamp(unit) => {
                integer().map_or(Self::Json(raw), |count| Self::Timestamp(count, unit))
            }
            Meaning::Duration(unit) => duration(raw, unit).map_or(Self::Json(raw), Self::Duration),
            Meaning::Json if raw.starts_with('"') => match text() {
                Some(text) if json::is_valid(&text) => Self::Document(text),
                _ => return Err(ValueError::new("a JSON document", raw)),
            },
            Meaning::Structured(kind) if raw.starts_with('{') => match structured::to_iso(kind, raw) {
                Some(text) => Self::Text(Cow::Owned(text)),
                None => return Err(ValueError::new("the parts of a date or time", raw)),
            },
            _ => Self::Json(raw),
        })
    }

    /// ISO text of a value that is a date or time.
    pub(super) fn to_iso(&self) -> Option<String> {
        Some(match self {
            Self::Date(days) => match time::date_from_days(*days)? {
                i32::MAX => "infinity".to_owned(),
                i32::MIN => "-infinity".to_owned(),
                _ => time::format_date(*days),
            },
            Self::Time(nanos) => time_of_day(*nanos).unwrap_or_else(|| time::format_duration(*nanos)),
            Self::Duration(nanos) => time::format_duration(*nanos),
            Self::Timestamp(count, unit) => match time::timestamp_from_epoch(*count, *unit)? {
                i64::MAX => "infinity".to_owned(),
                i64::MIN => "-infinity".to_owned(),
                _ => time::format_timestamp(i128::from(*count) * unit.nanos()),
            },
            _ => return None,
        })
    }
}

/// ISO text of nanoseconds since midnight, if they are within the day.
pub(super) fn time_of_day(nanos: i128) -> Option<String> {
    let is_within = (0..=86_400_000_000_000).contains(&nanos);
    is_within.then(|| time::format_time(nanos as i64))
}

/// The number in an object `{"scale": …, "value": …}`; `None` if it is another object.
pub(super) fn variable_scale_decimal(raw: &str) -> Result<Option<Cow<'static, str>>, ValueError> {
    let Ok(parts) = serde_json::from_str::<VariableScaleDecimal<'_>>(raw) else { return Ok(None) };
    decimal(raw, Some(parts.value), parts.scale).map(Some)
}

fn decimal(raw: &str, base64: Option<Cow<'_, str>>, scale: i32) -> Result<Cow<'static, str>, ValueError> {
    let unscaled = bytes(raw, base64, binary::from_base64)?;
    if unscaled.len() > number::UNSCALED_BYTES_MAX {
        return Err(ValueError::too_large("a number of at most 4096 bytes", raw));
    }
    number::decimal(&unscaled, scale).map(Cow::Owned).ok_or_else(|| ValueError::new("a decimal number", raw))
}

fn bytes(
    raw: &str,
    text: Option<Cow<'_, str>>,
    read: fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, ValueError> {
    text.and_then(|text| read(&text)).ok_or_else(|| ValueError::new("encoded bytes", raw))
}

/// Nanoseconds of a count that may have a fraction: Debezium sends microseconds as a double.
fn duration(raw: &str, unit: TimeUnit) -> Option<i128> {
    if let Ok(count) = raw.parse::<i64>() {
        return Some(i128::from(count) * unit.nanos());
    }
    let nanos = number::double(raw)? * unit.nanos() as f64;
    // The casts of Rust saturate; what is beyond the range of an interval is refused by its column.
    nanos.is_finite().then(|| nanos.round() as i128)
}

/// The elements of a JSON array.
pub(super) fn elements(raw: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw).ok()
}
