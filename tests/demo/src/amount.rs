//! Numbers as people read them.

use std::time::Duration;

const MIB: f64 = 1024.0 * 1024.0;

/// With a comma between thousands: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number per second: with one decimal where that says something.
pub(crate) fn per_second(number: f64) -> String {
    if number < 1000.0 { format!("{number:.1}/s") } else { format!("{}/s", grouped(number as u64)) }
}

/// Milliseconds: with one decimal below 100, as seconds from 1 s.
pub(crate) fn millis(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 99.95 => format!("{ms:.1} ms"),
        Some(ms) if ms < 999.5 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1000.0),
    }
}

/// Bytes as a number of MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / MIB)
}

/// Minutes and seconds: `1:05`.
pub(crate) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn decimals_end_where_they_say_nothing() {
        assert_eq!([0.0, 83.34, 999.9, 12_345.6].map(per_second), ["0.0/s", "83.3/s", "999.9/s", "12,345/s"]);
        let times = [Some(6.04), Some(99.96), Some(999.4), Some(1234.0), None].map(millis);
        assert_eq!(times, ["6.0 ms", "100 ms", "999 ms", "1.2 s", "-"]);
    }

    #[test]
    fn sizes_and_times_have_fixed_units() {
        assert_eq!(mib(33 * 1024 * 1024), "33");
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(3600)), "60:00");
    }
}
