//! From a value of the source to a value of a column type.

use std::borrow::Cow;

use super::source_value::{time_of_day, variable_scale_decimal};
use super::{ColumnType, SourceValue, Value, ValueError, array, binary, geometry, number};
use crate::row::Field;
use crate::schema::SemanticType;
use crate::trim::trim;
use crate::{json, time};

/// The value as JSON for `extra_fields`.
pub(crate) fn to_json(field: Field<'_>) -> Result<Cow<'_, str>, ValueError> {
    if field.semantic.is_array || field.is_null() {
        return json::check(field.raw).map(|()| Cow::Borrowed(field.raw));
    }
    source_to_json(SourceValue::read(field)?, field.raw)
}

fn source_to_json<'a>(value: SourceValue<'a>, raw: &'a str) -> Result<Cow<'a, str>, ValueError> {
    let text = match value {
        SourceValue::Json(_) | SourceValue::Bytes(_) => Cow::Borrowed(raw),
        SourceValue::Number(text) => return Ok(number::to_json(text)),
        SourceValue::Document(text) => text,
        SourceValue::Text(text) => return Ok(Cow::Owned(json::quoted(&text))),
        SourceValue::Bits(bits) => return Ok(Cow::Owned(json::quoted(&bits))),
        // A date beyond PostgreSQL's range stays the number that it is.
        value => return Ok(value.to_iso().map_or(Cow::Borrowed(raw), |iso| Cow::Owned(json::quoted(&iso)))),
    };
    json::check(&text).map(|()| text)
}

impl ColumnType {
    /// Converts a value as it stands in an event to this type.
    ///
    /// # Errors
    /// [`ValueError`] if the value does not fit; it names what was expected and shows the value.
    pub fn convert<'a>(&self, field: impl Into<Field<'a>>) -> Result<Value<'a>, ValueError> {
        let field = field.into();
        let raw = field.raw;
        if field.is_null() {
            return Ok(Value::Null);
        }
        // Most values come without a schema.
        if field.semantic == SemanticType::UNKNOWN && !matches!(self, Self::Array { .. }) {
            return self.read_json(raw);
        }
        if let Self::Array { element, .. } = self
            && raw.starts_with('[')
        {
            return array::literal(element, field, &|| self.misfit(raw)).map(|text| Value::Text(text.into()));
        }
        if field.semantic.is_array {
            return self.read_json(raw);
        }
        match SourceValue::read(field)? {
            SourceValue::Json(raw) => self.read_json(raw),
            value if matches!(self, Self::Json | Self::JsonText) => {
                source_to_json(value, raw).map(Value::Json)
            }
            SourceValue::Number(text) | SourceValue::Text(text) => self.read_text(text),
            SourceValue::Document(text) => match self {
                Self::Text | Self::Other(_) => Ok(Value::Text(text)),
                _ => Err(self.misfit(raw)),
            },
            SourceValue::Bytes(bytes) => self.read_bytes(&bytes, raw),
            SourceValue::Bits(bits) => self.read_bits(bits, raw),
            value => self.read_moment(&value, raw),
        }
    }

    /// Converts plain text, e.g. one that a column rule made, to this type.
    ///
    /// # Errors
    /// As [`ColumnType::convert`].
    pub fn read_text<'a>(&self, text: Cow<'a, str>) -> Result<Value<'a>, ValueError> {
        let trimmed = trim(&text);
        let value = match self {
            Self::Bool => boolean(trimmed).map(Value::Bool),
            Self::Int2 => integer(trimmed, i16::MIN.into(), i16::MAX.into()),
            Self::Int4 => integer(trimmed, i32::MIN.into(), i32::MAX.into()),
            Self::Int8 => integer(trimmed, i64::MIN, i64::MAX),
            Self::Float4 => number::real(trimmed).map(Value::Float),
            Self::Float8 => number::double(trimmed).map(Value::Float),
            Self::Numeric if number::fits_numeric(trimmed) => return Ok(Value::Numeric(text)),
            Self::Date => time::parse_date(trimmed).map(Value::Date),
            Self::Timestamp | Self::TimestampTz => time::parse_timestamp(trimmed).map(Value::Timestamp),
            Self::Bytea => bytes(trimmed).map(|bytes| Value::Text(binary::to_hex(&bytes).into())),
            Self::Time | Self::TimeTz => self.read_time(trimmed),
            Self::Uuid => uuid(trimmed).map(|uuid| Value::Text(uuid.into())),
            Self::Bit if trimmed.bytes().all(|byte| matches!(byte, b'0' | b'1')) => {
                return Ok(Value::Text(text));
            }
            Self::Json | Self::JsonText => return Ok(Value::Json(json::quoted(&text).into())),
            Self::Text | Self::Interval | Self::Array { .. } | Self::Other(_) if !text.contains('\0') => {
                return Ok(Value::Text(text));
            }
            _ => None,
        };
        value.ok_or_else(|| self.misfit(&text))
    }

    fn misfit(&self, found: &str) -> ValueError {
        ValueError::new(self.expected(), found)
    }

    /// A value of which the JSON type is all that is known; the column's type tells how to read it.
    fn read_json<'a>(&self, raw: &'a str) -> Result<Value<'a>, ValueError> {
        match (self, raw.as_bytes().first()) {
            (Self::Json, _) => json_document(raw).map(Value::Json),
            (Self::JsonText, _) => json::check(raw).map(|()| Value::Json(Cow::Borrowed(raw))),
            (_, Some(b'"')) => {
                let text =
                    json::string(raw).ok_or_else(|| ValueError::new("a text of valid characters", raw))?;
                self.read_text(text)
            }
            (_, Some(b'{')) => self.read_object(raw),
            (Self::Text | Self::Other(_), Some(b'[')) => Ok(Value::Text(Cow::Borrowed(raw))),
            (_, Some(b'[')) => Err(self.misfit(raw)),
            (Self::Date | Self::Time | Self::Timestamp | Self::TimestampTz | Self::Interval, _) => {
                self.read_count(raw)
            }
            _ => self.read_text(Cow::Borrowed(raw)),
        }
    }

    fn read_object<'a>(&self, raw: &'a str) -> Result<Value<'a>, ValueError> {
        let text = match self {
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::Numeric => {
                let number = variable_scale_decimal(raw)?.ok_or_else(|| self.misfit(raw))?;
                return self.read_text(number);
            }
            Self::Other(name) if name == "point" => geometry::to_point(raw),
            Self::Other(name) if is_postgis(name) => geometry::to_ewkb(raw),
            Self::Text | Self::Other(_) => return Ok(Value::Text(Cow::Borrowed(raw))),
            _ => None,
        };
        text.map(|text| Value::Text(text.into())).ok_or_else(|| self.misfit(raw))
    }

    /// A bare number in a column of dates or times; its size tells its unit (`time::epoch`).
    fn read_count<'a>(&self, raw: &'a str) -> Result<Value<'a>, ValueError> {
        let count = number::integer(raw).ok_or_else(|| self.misfit(raw))?;
        let value = match self {
            Self::Date => time::date_from_epoch(count).map(Value::Date),
            Self::Time => {
                let value = SourceValue::Time(i128::from(count) * time::unit_of_time(count).nanos());
                return self.read_moment(&value, raw);
            }
            // Debezium's numeric intervals count microseconds.
            Self::Interval => {
                return self.read_moment(&SourceValue::Duration(i128::from(count) * 1000), raw);
            }
            _ => time::timestamp_from_epoch(count, time::unit_of_timestamp(count)).map(Value::Timestamp),
        };
        value.ok_or_else(|| self.misfit(raw))
    }

    /// A date, time, timestamp or duration. Columns of numbers take its number as it came.
    fn read_moment<'a>(&self, value: &SourceValue<'_>, raw: &'a str) -> Result<Value<'a>, ValueError> {
        let text = |text: String| Value::Text(Cow::Owned(text));
        let converted = match (self, value) {
            (Self::Date, SourceValue::Date(days)) => time::date_from_days(*days).map(Value::Date),
            (Self::Timestamp | Self::TimestampTz, SourceValue::Timestamp(count, unit)) => {
                time::timestamp_from_epoch(*count, *unit).map(Value::Timestamp)
            }
            (Self::Time, SourceValue::Time(nanos)) => time_of_day(to_micros(*nanos)).map(text),
            (Self::TimeTz, SourceValue::Time(nanos)) => {
                time_of_day(to_micros(*nanos)).map(|time| text(time + "Z"))
            }
            (Self::Interval, SourceValue::Time(nanos) | SourceValue::Duration(nanos)) => {
                interval(to_micros(*nanos)).map(text)
            }
            (Self::Int2 | Self::Int4 | Self::Int8 | Self::Float4 | Self::Float8 | Self::Numeric, _) => {
                return self.read_text(Cow::Borrowed(raw));
            }
            (Self::Text | Self::Other(_), _) => value.to_iso().map(text),
            (
                Self::Date | Self::Timestamp | Self::TimestampTz,
                SourceValue::Date(_) | SourceValue::Timestamp(..),
            ) => {
                let iso = value.to_iso();
                return self.read_text(iso.ok_or_else(|| self.misfit(raw))?.into());
            }
            _ => None,
        };
        converted.ok_or_else(|| self.misfit(raw))
    }

    fn read_bytes<'a>(&self, bytes: &[u8], raw: &'a str) -> Result<Value<'a>, ValueError> {
        match self {
            Self::Bytea | Self::Other(_) => Ok(Value::Text(binary::to_hex(bytes).into())),
            Self::Uuid if bytes.len() == 16 => self.read_text(binary::to_hex(bytes).split_off(2).into()),
            Self::Text => self.read_json(raw),
            _ => Err(self.misfit(raw)),
        }
    }

    fn read_bits<'a>(&self, bits: String, raw: &'a str) -> Result<Value<'a>, ValueError> {
        let number = || i64::from_str_radix(&bits, 2).ok().map(|number| number.to_string());
        match self {
            Self::Bit | Self::Text | Self::Other(_) => Ok(Value::Text(bits.into())),
            Self::Bool | Self::Int2 | Self::Int4 | Self::Int8 | Self::Numeric => {
                self.read_text(number().ok_or_else(|| self.misfit(raw))?.into())
            }
            _ => Err(self.misfit(raw)),
        }
    }

    fn read_time<'a>(&self, text: &str) -> Option<Value<'a>> {
        let time = time::parse_time(text)?;
        let is_zoned = time.offset_seconds.is_some();
        let text = match self {
            // The zone is left away, as PostgreSQL itself does.
            Self::Time => time_of_day(to_micros(time.nanos.into()))?,
            _ if is_zoned => text.to_owned(),
            _ => format!("{text}Z"),
        };
        Some(Value::Text(text.into()))
    }
}

/// ISO text of nanoseconds, if the server can hold them as an interval.
fn interval(nanos: i128) -> Option<String> {
    const NANOS_MAX: u128 = i32::MAX as u128 * 3_600_000_000_000;
    (nanos.unsigned_abs() <= NANOS_MAX).then(|| time::format_duration(nanos))
}

/// Nanoseconds rounded half up to microseconds, which is what the server keeps: it would round halves to even. What is too
/// large for that stays too large.
fn to_micros(nanos: i128) -> i128 {
    nanos.saturating_add(500).div_euclid(1000).saturating_mul(1000)
}

/// Types of PostGIS, in whichever schema it is installed.
fn is_postgis(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("geometry" | "geography"))
}

/// A JSON value as it is; a JSON string that itself holds an object or an array is that document.
fn json_document(raw: &str) -> Result<Cow<'_, str>, ValueError> {
    let inner = json::string(raw).filter(|text| text.trim_start().starts_with(['{', '[']));
    let document = inner.filter(|text| json::is_valid(text)).unwrap_or(Cow::Borrowed(raw));
    json::check(&document).map(|()| document)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "true" | "TRUE" | "True" | "t" | "T" | "Y" | "y" => Some(true),
        "0" | "false" | "FALSE" | "False" | "f" | "F" | "N" | "n" => Some(false),
        other => match number::integer(other)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn integer<'a>(text: &str, min: i64, max: i64) -> Option<Value<'a>> {
    number::integer(text).filter(|value| (min..=max).contains(value)).map(Value::Int)
}

/// Bytes in a text that no schema explains: hexadecimal digits behind `\x`, else base64. Digits without `\x` are
/// read as base64, because they are that as well; a column rule can say otherwise.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.starts_with("\\x") { binary::from_hex(text) } else { binary::from_base64(text) }
}

/// 32 hexadecimal digits, with hyphens or braces where people put them; written as the server prints them, so that one
/// key is not taken for two.
fn uuid(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let mut uuid = String::with_capacity("00000000-0000-0000-0000-000000000000".len());
    let (mut digits, mut may_be_hyphen) = (0, false);
    for byte in inner.bytes() {
        if byte == b'-' && may_be_hyphen {
            may_be_hyphen = false;
            continue;
        }
        if !byte.is_ascii_hexdigit() {
            return None;
        }
        if matches!(digits, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(char::from(byte.to_ascii_lowercase()));
        digits += 1;
        may_be_hyphen = digits % 4 == 0 && digits < 32;
    }
    (digits == 32).then_some(uuid)
}
