//! Dates, times and durations as ISO 8601 text, for columns that keep text or JSON.

use super::calendar::{NANOS_PER_DAY, NANOS_PER_SECOND, PG_EPOCH_UNIX_DAYS, PG_EPOCH_UNIX_MICROS, civil};

/// `YYYY-MM-DD` of days since 1970-01-01.
pub(crate) fn format_date(unix_days: i64) -> String {
    let (year, month, day) = civil(unix_days);
    let sign = if year < 0 { "-" } else { "" };
    format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

/// `HH:MM:SS[.f…]` of nanoseconds since midnight.
pub(crate) fn format_time(nanos: i64) -> String {
    let (seconds, fraction) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, fraction);
    text
}

/// `YYYY-MM-DDTHH:MM:SS[.f…]` of nanoseconds since 1970-01-01, with every digit that is not zero.
pub(crate) fn format_timestamp(unix_nanos: i128) -> String {
    let (days, nanos) = split_days(unix_nanos);
    format!("{}T{}", format_date(days), format_time(nanos))
}

/// Days, and nanoseconds of the last of them. What the sources count in an i64 has far fewer days than an i64 holds.
fn split_days(nanos: i128) -> (i64, i64) {
    let day = i128::from(NANOS_PER_DAY);
    (nanos.div_euclid(day) as i64, nanos.rem_euclid(day) as i64)
}

/// `PT…H…S` of nanoseconds. The server reads it as an interval, as long as the hours fit an `integer`, which is why
/// there are hours.
pub(crate) fn format_duration(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let hour = u128::from(3600 * NANOS_PER_SECOND.unsigned_abs());
    let (hours, rest) = (nanos.unsigned_abs() / hour, (nanos.unsigned_abs() % hour) as i64);
    let mut text = String::from("PT");
    if hours > 0 {
        text.push_str(&format!("{sign}{hours}H"));
    }
    if hours == 0 || rest > 0 {
        text.push_str(&format!("{sign}{}", rest / NANOS_PER_SECOND));
        push_fraction(&mut text, rest % NANOS_PER_SECOND);
        text.push('S');
    }
    text
}

/// A `date` as the server reads it back, from days since 2000-01-01.
pub(crate) fn date_for_server(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        _ => with_era(i64::from(days) + PG_EPOCH_UNIX_DAYS, ""),
    }
}

/// A `timestamp` as the server reads it back, from microseconds since 2000-01-01.
pub(crate) fn timestamp_for_server(micros: i64) -> String {
    if let i64::MAX | i64::MIN = micros {
        return if micros > 0 { "infinity".to_owned() } else { "-infinity".to_owned() };
    }
    let unix_nanos = (i128::from(micros) + i128::from(PG_EPOCH_UNIX_MICROS)) * 1000;
    let (days, nanos) = split_days(unix_nanos);
    with_era(days, &format!(" {}", format_time(nanos)))
}

/// PostgreSQL knows no year 0 and no negative ones: they are written as years before Christ.
fn with_era(unix_days: i64, time: &str) -> String {
    let (year, month, day) = civil(unix_days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    format!("{year:04}-{month:02}-{day:02}{time}{era}")
}

fn push_fraction(text: &mut String, nanos: i64) {
    if nanos > 0 {
        let digits = format!("{nanos:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::calendar::{round_to_micros, timestamp_from_unix_days};
    use crate::time::parse_timestamp;
    use proptest::prelude::*;

    #[test]
    fn every_digit_is_written() {
        assert_eq!(format_timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(format_timestamp(-1), "1969-12-31T23:59:59.999999999");
        assert_eq!(format_timestamp(1_500_000_000), "1970-01-01T00:00:01.5");
        assert_eq!(format_date(-719_529), "-0001-12-31");
        assert_eq!(format_duration(-1_500_000_000), "PT-1.5S");
        assert_eq!(format_duration(-90_000_000_000_000), "PT-25H");
        assert_eq!(format_duration(3_601_000_000_000), "PT1H1S");
        assert_eq!(format_duration(0), "PT0S");
        assert_eq!(format_time(NANOS_PER_DAY), "24:00:00");
    }

    #[test]
    fn the_server_reads_years_before_christ() {
        assert_eq!(date_for_server(0), "2000-01-01");
        assert_eq!(date_for_server(-730_485), "0001-01-01 BC");
        assert_eq!(timestamp_for_server(1), "2000-01-01 00:00:00.000001");
        assert_eq!(timestamp_for_server(i64::MIN), "-infinity");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in -200_000_000_000_000_000_000_i128..900_000_000_000_000_000_000) {
            let (days, nanos_of_day) = split_days(nanos);
            let expected = timestamp_from_unix_days(days, nanos_of_day);
            prop_assert_eq!(parse_timestamp(&format_timestamp(nanos)), expected);
            prop_assert!((round_to_micros(nanos_of_day) * 1000 - nanos_of_day).abs() <= 500);
        }
    }
}
