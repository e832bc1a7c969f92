//! The unit of a bare number in a column of dates or times, told by its size.
//!
//! Without a schema, nothing says whether a number counts milliseconds, microseconds or nanoseconds. The rule below is
//! right for all moments between 1970-04-26 and 2286-11-20 in any unit; for others a column rule says the unit.

use super::calendar::{
    INFINITE_DATE, INFINITE_TIMESTAMP, date_from_unix_days, round_to_micros, timestamp_from_unix_micros,
};
use crate::schema::TimeUnit;

/// The first numbers that count microseconds and nanoseconds.
const FIRST_MICROS: u64 = 10_000_000_000_000;
const FIRST_NANOS: u64 = 10_000_000_000_000_000;

/// Days that applications use for "never" and "always", in milliseconds: 9999-12-31 and 0001-01-01. They count as
/// these days in whichever unit they are written.
const SENTINEL_DAYS_MILLIS: [std::ops::Range<i128>; 2] =
    [253_402_214_400_000..253_402_300_800_000, -62_135_596_800_000..-62_135_510_400_000];

/// Debezium's numbers for PostgreSQL's infinite timestamps, the same in every unit.
const DEBEZIUM_INFINITY: i64 = 9_223_372_036_825_200_000;
const DEBEZIUM_MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;

/// The largest number of a bare `date` column that counts days; larger ones count time. Its day is in the year 9999.
const LAST_DAY_COUNT: u64 = 2_932_896;

/// The unit of a bare number that counts from 1970-01-01.
pub(crate) fn unit_of_timestamp(number: i64) -> TimeUnit {
    for unit in [TimeUnit::Millis, TimeUnit::Micros, TimeUnit::Nanos] {
        let in_millis = (i128::from(number) * unit.nanos()).div_euclid(TimeUnit::Millis.nanos());
        if SENTINEL_DAYS_MILLIS.iter().any(|day| day.contains(&in_millis)) {
            return unit;
        }
    }
    match number.unsigned_abs() {
        0..FIRST_MICROS => TimeUnit::Millis,
        FIRST_MICROS..FIRST_NANOS => TimeUnit::Micros,
        _ => TimeUnit::Nanos,
    }
}

/// The unit of a bare number that counts from midnight: the coarsest in which it is within a day.
pub(crate) fn unit_of_time(number: i64) -> TimeUnit {
    match number.unsigned_abs() {
        0..=86_400_000 => TimeUnit::Millis,
        86_400_001..=86_400_000_000 => TimeUnit::Micros,
        _ => TimeUnit::Nanos,
    }
}

/// Microseconds since 2000-01-01 of a count since 1970-01-01; `None` beyond PostgreSQL's range.
pub(crate) fn timestamp_from_epoch(number: i64, unit: TimeUnit) -> Option<i64> {
    match number {
        DEBEZIUM_INFINITY => Some(INFINITE_TIMESTAMP),
        DEBEZIUM_MINUS_INFINITY => Some(i64::MIN),
        _ => timestamp_from_unix_micros(match unit {
            TimeUnit::Millis => i128::from(number) * 1000,
            TimeUnit::Micros => number.into(),
            TimeUnit::Nanos => round_to_micros(number).into(),
        }),
    }
}

/// Days since 2000-01-01 of a bare number in a `date` column: days, or a time that is midnight.
pub(crate) fn date_from_epoch(number: i64) -> Option<i32> {
    if number.unsigned_abs() <= LAST_DAY_COUNT {
        return date_from_days(number);
    }
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let micros = timestamp_from_epoch(number, unit_of_timestamp(number))?;
    (micros % MICROS_PER_DAY == 0).then(|| i32::try_from(micros / MICROS_PER_DAY).ok()).flatten()
}

/// Days since 2000-01-01 of a count of days since 1970-01-01; the ends of `i32` are Debezium's infinities.
pub(crate) fn date_from_days(days: i64) -> Option<i32> {
    match i32::try_from(days) {
        Ok(INFINITE_DATE) => Some(INFINITE_DATE),
        Ok(i32::MIN) => Some(i32::MIN),
        _ => date_from_unix_days(days),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{parse_date, parse_timestamp};

    #[test]
    fn the_same_moment_is_known_in_each_unit() {
        let expected = parse_timestamp("2024-01-15T10:30:00.123");
        for number in [1_705_314_600_123, 1_705_314_600_123_000, 1_705_314_600_123_000_000] {
            assert_eq!(timestamp_from_epoch(number, unit_of_timestamp(number)), expected, "{number}");
        }
    }

    #[test]
    fn sentinels_are_known_in_each_unit() {
        for (day, millis) in [("9999-12-31", 253_402_214_400_000_i64), ("0001-01-01", -62_135_596_800_000)] {
            for number in [millis, millis * 1000] {
                let micros = timestamp_from_epoch(number, unit_of_timestamp(number));
                assert_eq!(micros, parse_timestamp(day), "{number}");
            }
        }
    }

    #[test]
    fn a_date_is_days_or_a_midnight() {
        assert_eq!(date_from_epoch(19_737), parse_date("2024-01-15"));
        assert_eq!(date_from_epoch(1_705_276_800_000), parse_date("2024-01-15"));
        assert_eq!(date_from_epoch(1_705_276_800_001), None);
    }

    #[test]
    fn infinities_are_postgresqls() {
        assert_eq!(timestamp_from_epoch(DEBEZIUM_INFINITY, TimeUnit::Micros), Some(i64::MAX));
        assert_eq!(timestamp_from_epoch(DEBEZIUM_MINUS_INFINITY, TimeUnit::Millis), Some(i64::MIN));
        assert_eq!(date_from_days(i64::from(i32::MAX)), Some(i32::MAX));
    }

    #[test]
    fn numbers_beyond_the_range_are_refused() {
        for number in [i64::MAX, i64::MIN] {
            assert_eq!(timestamp_from_epoch(number, TimeUnit::Millis), None, "{number}");
        }
    }
}
