//! Points in time of the simulation, and their text as Debezium's Oracle columns show them.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixMicros(pub(crate) i64);

impl UnixMicros {
    /// The time by the system's clock.
    pub(crate) fn now() -> Self {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole milliseconds since the epoch, as in `ts_ms`.
    pub(crate) fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time so many seconds earlier.
    pub(crate) fn minus_seconds(self, seconds: i64) -> Self {
        Self(self.0 - seconds * MICROS_PER_SECOND)
    }

    /// ISO 8601 without a zone and with six decimals: `2026-01-02T03:04:05.123456`.
    pub(crate) fn iso_local(self) -> [u8; 26] {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_PER_DAY));
        let mut text = *b"0000-00-00T00:00:00.000000";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], month);
        put_digits(&mut text[8..10], day);
        put_digits(&mut text[11..13], second_of_day / 3600);
        put_digits(&mut text[14..16], second_of_day / 60 % 60);
        put_digits(&mut text[17..19], second_of_day % 60);
        put_digits(&mut text[20..26], self.0.rem_euclid(MICROS_PER_SECOND));
        text
    }
}

/// Year, month and day of the proleptic Gregorian calendar.
///
/// Days are counted from 1 March of year 0, so that the leap day is the last of its year.
fn civil_date(days_since_epoch: i64) -> (i64, i64, i64) {
    const DAYS_TO_EPOCH: i64 = 719_468;
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let days = days_since_epoch + DAYS_TO_EPOCH;
    let era = days.div_euclid(DAYS_PER_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_PER_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Fills `place` with the last decimal digits of `number`, with leading zeros.
fn put_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::UnixMicros;

    #[track_caller]
    fn assert_iso(unix_micros: i64, expected: &str) {
        assert_eq!(std::str::from_utf8(&UnixMicros(unix_micros).iso_local()).unwrap(), expected);
    }

    #[test]
    fn times_are_written_as_iso_8601() {
        assert_iso(0, "1970-01-01T00:00:00.000000");
        assert_iso(951_782_399_999_999, "2000-02-28T23:59:59.999999");
        assert_iso(951_782_400_000_000, "2000-02-29T00:00:00.000000");
        assert_iso(1_767_323_045_123_456, "2026-01-02T03:04:05.123456");
        assert_iso(1_798_761_599_000_001, "2026-12-31T23:59:59.000001");
        assert_iso(-1, "1969-12-31T23:59:59.999999");
    }

    #[test]
    fn millis_are_cut_not_rounded() {
        assert_eq!(UnixMicros(1_999).millis(), 1);
    }
}
