//! Days of the proleptic Gregorian calendar, and the ranges that PostgreSQL's types have.

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
pub(crate) const PG_EPOCH_UNIX_DAYS: i64 = 10_957;
/// Microseconds from the Unix epoch to PostgreSQL's.
pub const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

pub(super) const NANOS_PER_SECOND: i64 = 1_000_000_000;
pub(super) const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// 4714-11-24 BC, PostgreSQL's first day, in days since 2000-01-01.
const FIRST_DAY: i64 = -2_451_545;
/// 5874897-12-31, the last day of PostgreSQL's `date`.
const LAST_DAY: i64 = 2_145_031_948;
/// 294277-01-01, the first moment after PostgreSQL's `timestamp`, in microseconds since 2000-01-01.
const END_OF_TIMESTAMPS: i64 = 9_223_371_331_200_000_000;
/// 4714-11-24 BC, PostgreSQL's first moment.
const FIRST_MICROS: i64 = FIRST_DAY * MICROS_PER_DAY;

/// What PostgreSQL stores for `infinity` in a `date` and a `timestamp`; the lowest numbers stand for `-infinity`.
pub(super) const INFINITE_DATE: i32 = i32::MAX;
pub(super) const INFINITE_TIMESTAMP: i64 = i64::MAX;

/// Days since 1970-01-01 to PostgreSQL's `date`; `None` beyond its range.
pub(crate) fn date_from_unix_days(days: i64) -> Option<i32> {
    let days = days.checked_sub(PG_EPOCH_UNIX_DAYS)?;
    (FIRST_DAY..=LAST_DAY).contains(&days).then(|| i32::try_from(days).ok()).flatten()
}

/// Days since 1970-01-01 and nanoseconds of the day (also beyond its ends) to PostgreSQL's `timestamp`, rounded half up
/// to microseconds; `None` beyond its range.
pub(crate) fn timestamp_from_unix_days(days: i64, nanos: i64) -> Option<i64> {
    let days = i128::from(days - PG_EPOCH_UNIX_DAYS);
    within_timestamps(days * i128::from(MICROS_PER_DAY) + i128::from(round_to_micros(nanos)))
}

/// Microseconds since 1970-01-01 to PostgreSQL's `timestamp`; `None` beyond its range.
pub(crate) fn timestamp_from_unix_micros(micros: i128) -> Option<i64> {
    within_timestamps(micros - i128::from(PG_EPOCH_UNIX_MICROS))
}

/// PostgreSQL's last years are beyond the range of an i64 that counts from 1970; so the count comes in an i128.
fn within_timestamps(micros: i128) -> Option<i64> {
    i64::try_from(micros).ok().filter(|micros| (FIRST_MICROS..END_OF_TIMESTAMPS).contains(micros))
}

/// Nanoseconds to microseconds, rounded half up.
pub(crate) fn round_to_micros(nanos: i64) -> i64 {
    nanos.div_euclid(1000) + i64::from(nanos.rem_euclid(1000) >= 500)
}

/// Days since 1970-01-01; the month and the day are known to exist.
pub(super) fn unix_days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    const DAYS_TO_1970_01_01: i64 = 719_468;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - DAYS_TO_1970_01_01
}

/// Year, month and day of days since 1970-01-01: the inverse of [`unix_days`].
pub(super) fn civil(unix_days: i64) -> (i64, i64, i64) {
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let days = unix_days + 719_468;
    let (cycle, day_of_cycle) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (cycle * 400 + year_of_cycle + i64::from(month <= 2), month, day)
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_epochs_are_where_the_constants_say() {
        assert_eq!(unix_days(1970, 1, 1), 0);
        assert_eq!(unix_days(2000, 1, 1), PG_EPOCH_UNIX_DAYS);
        assert_eq!(PG_EPOCH_UNIX_MICROS, PG_EPOCH_UNIX_DAYS * 86_400_000_000);
    }

    #[test]
    fn ranges_end_where_postgresqls_do() {
        assert_eq!(date_from_unix_days(unix_days(-4713, 11, 24)), Some(-2_451_545));
        assert_eq!(date_from_unix_days(unix_days(-4713, 11, 23)), None);
        assert!(date_from_unix_days(unix_days(5_874_897, 12, 31)).is_some());
        assert_eq!(date_from_unix_days(unix_days(5_874_898, 1, 1)), None);
        let (first, end) = (unix_days(-4713, 11, 24), unix_days(294_277, 1, 1));
        assert_eq!(timestamp_from_unix_days(end, -1000), Some(END_OF_TIMESTAMPS - 1));
        assert_eq!(timestamp_from_unix_days(end, -500), None, "rounded up to the end");
        assert_eq!(timestamp_from_unix_days(first, 0), Some(FIRST_MICROS));
        assert_eq!(timestamp_from_unix_days(first, -1000), None);
    }

    proptest! {
        #[test]
        fn a_day_and_its_date_are_one(days in -10_000_000_i64..4_000_000_000) {
            let (year, month, day) = civil(days);
            prop_assert!((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day));
            prop_assert_eq!(unix_days(year, month, day), days);
        }
    }
}
