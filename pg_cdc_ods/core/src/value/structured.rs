//! Dates and times that come as their parts (`time.precision.mode=structured`), to ISO text.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::schema::Structured;
use crate::time::{format_duration, format_time};

/// The parts that Debezium's structured types are made of; each type has some of them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Parts<'a> {
    year: Option<i64>,
    month: Option<u8>,
    day: Option<u8>,
    hour: Option<u8>,
    minute: Option<u8>,
    second: Option<u8>,
    nanos: Option<i32>,
    offset_seconds: Option<i32>,
    special_value: Option<&'a str>,
    years: Option<i32>,
    months: Option<i32>,
    days: Option<i32>,
    hours: Option<i32>,
    minutes: Option<i32>,
    seconds: Option<i64>,
}

/// ISO text of a structured value; `None` if parts are missing or beyond what a date or time can have.
pub(super) fn to_iso(kind: Structured, raw: &str) -> Option<String> {
    let parts: Parts<'_> = serde_json::from_str(raw).ok()?;
    match parts.special_value {
        Some("POSITIVE_INFINITY") => return Some("infinity".to_owned()),
        Some("NEGATIVE_INFINITY") => return Some("-infinity".to_owned()),
        Some(_) => return None,
        None => (),
    }
    match kind {
        Structured::Date => parts.date(),
        Structured::Time => parts.time(),
        Structured::ZonedTime => Some(parts.time()? + &parts.offset()),
        Structured::Timestamp => Some(format!("{}T{}", parts.date()?, parts.time()?)),
        Structured::ZonedTimestamp => Some(format!("{}T{}{}", parts.date()?, parts.time()?, parts.offset())),
        Structured::Duration => parts.duration(),
    }
}

impl Parts<'_> {
    fn date(&self) -> Option<String> {
        let (year, month, day) = (self.year?, self.month?, self.day?);
        let sign = if year < 0 { "-" } else { "" };
        Some(format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs()))
    }

    fn time(&self) -> Option<String> {
        let seconds =
            (i64::from(self.hour?) * 60 + i64::from(self.minute?)) * 60 + i64::from(self.second.unwrap_or(0));
        let nanos = i64::from(self.nanos.unwrap_or(0));
        (nanos >= 0).then(|| format_time(seconds * 1_000_000_000 + nanos))
    }

    fn offset(&self) -> String {
        let offset = self.offset_seconds.unwrap_or(0);
        let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    fn duration(&self) -> Option<String> {
        let mut text = String::from("P");
        for (count, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')] {
            if let Some(count) = count.filter(|count| *count != 0) {
                write!(text, "{count}{unit}").ok()?;
            }
        }
        let minutes = i128::from(self.hours.unwrap_or(0)) * 60 + i128::from(self.minutes.unwrap_or(0));
        let seconds = minutes * 60 + i128::from(self.seconds.unwrap_or(0));
        let nanos = seconds * 1_000_000_000 + i128::from(self.nanos.unwrap_or(0));
        text.push_str(&format_duration(nanos)[1..]);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_iso_text() {
        let timestamp =
            r#"{"year":2024,"month":1,"day":15,"hour":10,"minute":30,"second":0,"nanos":120000000}"#;
        assert_eq!(to_iso(Structured::Timestamp, timestamp).as_deref(), Some("2024-01-15T10:30:00.12"));
        let zoned = r#"{"year":-1,"month":2,"day":3,"hour":4,"minute":5,"second":6,"offsetSeconds":-5400}"#;
        assert_eq!(
            to_iso(Structured::ZonedTimestamp, zoned).as_deref(),
            Some("-0001-02-03T04:05:06-01:30:00")
        );
        let duration = r#"{"months":14,"days":-3,"hours":4,"seconds":-1,"nanos":-500000000}"#;
        assert_eq!(to_iso(Structured::Duration, duration).as_deref(), Some("P14M-3DT3H3598.5S"));
        let infinity = r#"{"specialValue":"POSITIVE_INFINITY"}"#;
        assert_eq!(to_iso(Structured::Date, infinity).as_deref(), Some("infinity"));
    }

    #[test]
    fn missing_parts_make_nothing() {
        for raw in ["{}", r#"{"year":2024}"#, r#"{"year":"x"}"#, r#"{"specialValue":"OTHER"}"#, "[]"] {
            assert_eq!(to_iso(Structured::Date, raw), None, "{raw}");
        }
    }
}
