//! Dates and times from ISO 8601 text, without a detour through a calendar library.
//!
//! Years before 1 are written as ISO does: 0 is 1 BC, -4712 is 4713 BC. `infinity` and `-infinity` are PostgreSQL's.

use super::calendar::{
    INFINITE_DATE, INFINITE_TIMESTAMP, NANOS_PER_DAY, NANOS_PER_SECOND, date_from_unix_days, days_in_month,
    timestamp_from_unix_days, unix_days,
};
use crate::trim::trim;

/// A wall-clock reading, and the zone it was written with.
pub(super) struct Reading {
    /// Days since 1970-01-01.
    pub(super) days: i64,
    /// Nanoseconds since midnight.
    pub(super) nanos: i64,
    /// Whether a time was written.
    pub(super) has_time: bool,
    /// Offset of the zone from UTC in seconds, if one was written.
    pub(super) offset_seconds: Option<i64>,
}

/// A time of day, and the zone it was written with.
pub(crate) struct TimeOfDay {
    /// Nanoseconds since midnight.
    pub(crate) nanos: i64,
    /// Offset of the zone from UTC in seconds, if one was written.
    pub(crate) offset_seconds: Option<i64>,
}

/// Reads `YYYY-MM-DD`, days since 2000-01-01. A time part, if any, must be midnight; a zone is ignored.
pub fn parse_date(text: &str) -> Option<i32> {
    match trim(text) {
        "infinity" => return Some(INFINITE_DATE),
        "-infinity" => return Some(i32::MIN),
        _ => (),
    }
    let reading = read(text).filter(|reading| reading.nanos == 0)?;
    date_from_unix_days(reading.days)
}

/// Reads a timestamp, microseconds since 2000-01-01. With a zone, the moment is taken in UTC; without, as it is.
///
/// More than six digits of a second are rounded half up, as PostgreSQL does.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    match trim(text) {
        "infinity" => return Some(INFINITE_TIMESTAMP),
        "-infinity" => return Some(i64::MIN),
        _ => (),
    }
    let reading = read(text)?;
    let offset = reading.offset_seconds.unwrap_or(0) * NANOS_PER_SECOND;
    timestamp_from_unix_days(reading.days, reading.nanos - offset)
}

/// Reads a time of day with or without a zone, e.g. `10:15:30.5+02:00`. 24:00 is the end of the day.
pub(crate) fn parse_time(text: &str) -> Option<TimeOfDay> {
    let mut rest = trim(text).as_bytes();
    let nanos = take_time(&mut rest)?;
    let offset_seconds = take_offset(&mut rest)?;
    rest.is_empty().then_some(TimeOfDay { nanos, offset_seconds })
}

pub(super) fn read(text: &str) -> Option<Reading> {
    let mut rest = trim(text).as_bytes();
    let sign = if take(&mut rest, b"-").is_some() { -1 } else { 1 };
    if sign == 1 {
        take(&mut rest, b"+");
    }
    let year = sign * take_number(&mut rest, 4, 7)?;
    take(&mut rest, b"-")?;
    let month = take_two_digits(&mut rest)?;
    take(&mut rest, b"-")?;
    let day = take_two_digits(&mut rest)?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let days = unix_days(year, month, day);
    let has_time = take(&mut rest, b"T").or_else(|| take(&mut rest, b" ")).is_some();
    let nanos = if has_time { take_time(&mut rest)? } else { 0 };
    let offset_seconds = take_offset(&mut rest)?;
    rest.is_empty().then_some(Reading { days, nanos, has_time, offset_seconds })
}

/// `HH:MM[:SS[.f…]]` as nanoseconds of the day. A leap second counts as the next second.
fn take_time(rest: &mut &[u8]) -> Option<i64> {
    let hour = take_two_digits(rest)?;
    take(rest, b":")?;
    let minute = take_two_digits(rest)?;
    let second = if take(rest, b":").is_some() { take_two_digits(rest)? } else { 0 };
    let fraction = if take(rest, b".").is_some() { take_fraction(rest)? } else { 0 };
    let nanos = (hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + fraction;
    (minute <= 59 && second <= 60 && nanos <= NANOS_PER_DAY).then_some(nanos)
}

/// Powers of ten, for the digits that a fraction of nine does not have.
const TENTHS: [i64; 10] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// One or more digits after the point, as nanoseconds, rounded half up at the tenth.
fn take_fraction(rest: &mut &[u8]) -> Option<i64> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let (fraction, tail) = rest.split_at(digits);
    *rest = tail;
    let kept = &fraction[..digits.min(9)];
    let nanos = kept.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')) * TENTHS[9 - kept.len()];
    let round_up = fraction.get(9).is_some_and(|byte| *byte >= b'5');
    Some(nanos + i64::from(round_up))
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`, then perhaps a zone's name in brackets; `Some(None)` when nothing is
/// there.
fn take_offset(rest: &mut &[u8]) -> Option<Option<i64>> {
    if rest.is_empty() {
        return Some(None);
    }
    if take(rest, b"Z").or_else(|| take(rest, b"z")).is_some() {
        take_zone_name(rest);
        return Some(Some(0));
    }
    take(rest, b" ");
    let sign = if take(rest, b"+").is_some() { 1 } else { -i64::from(take(rest, b"-").is_some()) };
    if sign == 0 {
        return None;
    }
    let mut seconds = take_two_digits(rest)? * 3600;
    for unit in [60, 1] {
        if rest.is_empty() || rest.starts_with(b"[") {
            break;
        }
        take(rest, b":");
        seconds += take_two_digits(rest)? * unit;
    }
    take_zone_name(rest);
    (seconds < 16 * 3600).then_some(Some(sign * seconds))
}

/// Java writes `[Europe/Paris]` behind the offset, which says all that is needed.
fn take_zone_name(rest: &mut &[u8]) {
    if rest.first() == Some(&b'[') && rest.iter().position(|byte| *byte == b']') == Some(rest.len() - 1) {
        *rest = &[];
    }
}

fn take(rest: &mut &[u8], prefix: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(prefix)?;
    Some(())
}

fn take_two_digits(rest: &mut &[u8]) -> Option<i64> {
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', tail @ ..] = rest else { return None };
    let number = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    *rest = tail;
    Some(number)
}

fn take_number(rest: &mut &[u8], min_digits: usize, max_digits: usize) -> Option<i64> {
    let (mut number, mut digits) = (0, 0);
    while digits < max_digits
        && let Some(byte @ b'0'..=b'9') = rest.get(digits)
    {
        number = number * 10 + i64::from(byte - b'0');
        digits += 1;
    }
    *rest = &rest[digits..];
    (digits >= min_digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::PG_EPOCH_UNIX_MICROS;

    #[test]
    fn dates_count_from_2000() {
        assert_eq!(parse_date("2000-01-01"), Some(0));
        assert_eq!(parse_date("1970-01-01"), Some(-10_957));
        assert_eq!(parse_date("2024-02-29"), Some(8_825));
        assert_eq!(parse_date("0001-01-01"), Some(-730_119));
        assert_eq!(parse_date("2024-02-29T00:00:00"), Some(8_825));
        assert_eq!(parse_date("2024-02-29Z"), Some(8_825));
        assert_eq!(parse_date("2024-02-29T00:00:01"), None);
    }

    #[test]
    fn years_go_as_far_as_postgresqls() {
        assert_eq!(parse_date("-4713-11-24"), Some(-2_451_545));
        assert_eq!(parse_date("-4713-11-23"), None);
        assert_eq!(parse_date("0000-01-01"), Some(-730_485));
        assert!(parse_timestamp("+294276-12-31T23:59:59.999999").is_some());
        assert_eq!(parse_timestamp("294277-01-01"), None);
        assert_eq!(parse_timestamp("infinity"), Some(i64::MAX));
        assert_eq!(parse_date("-infinity"), Some(i32::MIN));
    }

    #[test]
    fn the_unix_epoch_is_where_the_constant_says() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00"), Some(-PG_EPOCH_UNIX_MICROS));
    }

    #[test]
    fn fractions_are_rounded_half_up_to_micros() {
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.1"), Some(100_000));
        assert_eq!(parse_timestamp("2000-01-01 00:00:01.000001"), Some(1_000_001));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.9999995"), Some(1_000_000));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.9999994"), Some(999_999));
    }

    #[test]
    fn a_zone_moves_the_moment() {
        assert_eq!(parse_timestamp("2000-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_timestamp("1999-12-31T19:00:00-0500"), Some(0));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_timestamp("2000-01-01T05:30:00 +05:30"), Some(0));
        assert_eq!(parse_timestamp("2000-01-01T01:00:00+01:00[Europe/Paris]"), Some(0));
    }

    #[test]
    fn a_time_of_day_ends_at_24() {
        assert_eq!(parse_time("24:00:00").map(|time| time.nanos), Some(NANOS_PER_DAY));
        assert_eq!(parse_time("10:00:00.5+02:00").and_then(|time| time.offset_seconds), Some(7200));
        for wrong in ["24:00:00.1", "25:00", "10", "10:60:00", "10:00:00 CET", ""] {
            assert!(parse_time(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let wrong = [
            "",
            "2024",
            "2024-13-01",
            "2024-00-01",
            "2023-02-29",
            "2024-04-31",
            "2024-01-01T25:00:00",
            "2024-01-01T00:60:00",
            "2024-01-01T00:00:00.",
            "2024-01-01X00:00",
            "2024-01-01T00:00:00+",
            "0000-00-00",
            "2024-01-01T00:00:00+25:00",
            "9999999-01-01",
            "2024-01-01T00:00:00Zx",
            "tomorrow",
        ];
        for text in wrong {
            assert_eq!(parse_timestamp(text), None, "{text:?}");
        }
    }
}
