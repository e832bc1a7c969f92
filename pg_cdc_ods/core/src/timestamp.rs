//! Dates and times from ISO 8601 text to PostgreSQL's numbers, without a detour through a calendar library.
//!
//! PostgreSQL stores `date` as days and `timestamp` as microseconds since 2000-01-01. The calendar is the proleptic
//! Gregorian one, as PostgreSQL's.

/// Microseconds from the Unix epoch to PostgreSQL's.
pub const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Years that PostgreSQL can store in both types, after its range of 4713 BC to 294276 AD, kept to four digits and
/// up; earlier and later dates are refused, not wrapped.
const YEARS: std::ops::RangeInclusive<i64> = 1..=294_276;

/// A wall-clock reading, and the zone it was written with.
struct Parsed {
    /// Microseconds since 2000-01-01, as if in UTC.
    micros: i64,
    /// Offset of the zone from UTC in seconds, if one was written.
    offset_seconds: Option<i64>,
}

/// Reads `YYYY-MM-DD`, days since 2000-01-01. A time part, if any, must be midnight.
pub fn parse_date(text: &str) -> Option<i32> {
    let parsed = parse(text)?;
    if parsed.micros.rem_euclid(MICROS_PER_DAY) != 0 {
        return None;
    }
    i32::try_from(parsed.micros.div_euclid(MICROS_PER_DAY)).ok()
}

/// Reads a timestamp without zone, microseconds since 2000-01-01. With a zone, the moment is taken in UTC.
///
/// More than six digits of a second are rounded, as PostgreSQL does.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let parsed = parse(text)?;
    parsed.micros.checked_sub(parsed.offset_seconds.unwrap_or(0) * MICROS_PER_SECOND)
}

/// Reads a timestamp with zone, microseconds since 2000-01-01 UTC. Without a zone it is taken as UTC.
pub fn parse_timestamptz(text: &str) -> Option<i64> {
    parse_timestamp(text)
}

fn parse(text: &str) -> Option<Parsed> {
    let mut rest = text.trim().as_bytes();
    let year = take_number(&mut rest, 4, 6)?;
    take(&mut rest, b"-")?;
    let month = take_number(&mut rest, 2, 2)?;
    take(&mut rest, b"-")?;
    let day = take_number(&mut rest, 2, 2)?;
    if !YEARS.contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
    {
        return None;
    }
    let mut micros = days_since_pg_epoch(year, month, day) * MICROS_PER_DAY;
    if rest.is_empty() {
        return Some(Parsed { micros, offset_seconds: None });
    }
    take(&mut rest, b"T").or_else(|| take(&mut rest, b" "))?;
    micros += take_time(&mut rest)?;
    let offset_seconds = take_offset(&mut rest)?;
    rest.is_empty().then_some(Parsed { micros, offset_seconds })
}

/// `HH:MM[:SS[.f…]]` as microseconds of the day. A leap second counts as the next second.
fn take_time(rest: &mut &[u8]) -> Option<i64> {
    let hour = take_number(rest, 2, 2)?;
    take(rest, b":")?;
    let minute = take_number(rest, 2, 2)?;
    let second = if take(rest, b":").is_some() { take_number(rest, 2, 2)? } else { 0 };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = if take(rest, b".").is_some() { take_fraction(rest)? } else { 0 };
    Some((hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + fraction)
}

/// One or more digits after the point, as microseconds, rounded half up at the seventh.
fn take_fraction(rest: &mut &[u8]) -> Option<i64> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let (fraction, tail) = rest.split_at(digits);
    *rest = tail;
    let micros = (0..6).fold(0, |sum, i| sum * 10 + i64::from(fraction.get(i).map_or(0, |byte| byte - b'0')));
    let round_up = fraction.get(6).is_some_and(|byte| *byte >= b'5');
    Some(micros + i64::from(round_up))
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`; `Some(None)` when nothing is there.
fn take_offset(rest: &mut &[u8]) -> Option<Option<i64>> {
    if rest.is_empty() {
        return Some(None);
    }
    if take(rest, b"Z").is_some() || take(rest, b"z").is_some() {
        return Some(Some(0));
    }
    take(rest, b" ");
    let sign = if take(rest, b"+").is_some() { 1 } else { -i64::from(take(rest, b"-").is_some()) };
    if sign == 0 {
        return None;
    }
    let mut seconds = take_number(rest, 2, 2)? * 3600;
    for unit in [60, 1] {
        if rest.is_empty() {
            break;
        }
        take(rest, b":");
        seconds += take_number(rest, 2, 2)? * unit;
    }
    (seconds < 16 * 3600).then_some(Some(sign * seconds))
}

fn take(rest: &mut &[u8], prefix: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(prefix)?;
    Some(())
}

fn take_number(rest: &mut &[u8], min_digits: usize, max_digits: usize) -> Option<i64> {
    let digits = rest.iter().take(max_digits).take_while(|byte| byte.is_ascii_digit()).count();
    if digits < min_digits {
        return None;
    }
    let (number, tail) = rest.split_at(digits);
    *rest = tail;
    Some(number.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 2000-01-01, counting years from March so that the leap day comes last.
fn days_since_pg_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year;
    const DAYS_TO_2000_01_01: i64 = 730_425;
    days - DAYS_TO_2000_01_01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_2000() {
        assert_eq!(parse_date("2000-01-01"), Some(0));
        assert_eq!(parse_date("1970-01-01"), Some(-10_957));
        assert_eq!(parse_date("2024-02-29"), Some(8_825));
        assert_eq!(parse_date("0001-01-01"), Some(-730_119));
        assert_eq!(parse_date("2024-02-29T00:00:00"), Some(8_825));
        assert_eq!(parse_date("2024-02-29T00:00:01"), None);
    }

    #[test]
    fn the_unix_epoch_is_where_the_constant_says() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00"), Some(-PG_EPOCH_UNIX_MICROS));
    }

    #[test]
    fn fractions_are_micros_rounded_at_the_seventh_digit() {
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.1"), Some(100_000));
        assert_eq!(parse_timestamp("2000-01-01 00:00:01.000001"), Some(1_000_001));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.9999995"), Some(1_000_000));
        assert_eq!(parse_timestamp("2000-01-01T00:00:00.9999994"), Some(999_999));
    }

    #[test]
    fn a_zone_moves_the_moment() {
        assert_eq!(parse_timestamptz("2000-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_timestamptz("1999-12-31T19:00:00-0500"), Some(0));
        assert_eq!(parse_timestamptz("2000-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_timestamptz("2000-01-01T05:30:00 +05:30"), Some(0));
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
            "2024-01-01T24:00:00",
            "2024-01-01T00:60:00",
            "2024-01-01T00:00:00.",
            "2024-01-01X00:00",
            "2024-01-01T00:00:00+",
            "0000-01-01",
            "2024-01-01T00:00:00+25:00",
            "999999-01-01",
            "2024-01-01T00:00:00Zx",
            "tomorrow",
        ];
        for text in wrong {
            assert_eq!(parse_timestamp(text), None, "{text:?}");
        }
    }
}
