//! The `Retry-After` header of an answer (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// Longest pause that an endpoint can ask for. It keeps a wrong clock or a mistake at the other end from stopping
/// pushes for days; an endpoint that needs more says so again.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The pause that a header's value asks for: seconds, or a date compared with `now`. None if it is neither.
pub(crate) fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let asked = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for the type is longer than the longest pause, too.
        text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 October 2015, 07:28:00 UTC.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480)
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        for (value, seconds) in [
            ("0", 0),
            ("7", 7),
            (" 120 ", 120),
            ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        ] {
            assert_eq!(parse(value.as_bytes(), now()), Some(Duration::from_secs(seconds)), "{value}");
        }
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        for value in ["301", "99999999999999999999999", "Fri, 21 Oct 2016 07:28:00 GMT"] {
            assert_eq!(parse(value.as_bytes(), now()), Some(LONGEST_RETRY_AFTER), "{value}");
        }
        assert_eq!(parse(b"300", now()), Some(LONGEST_RETRY_AFTER));
        assert_eq!(parse(b"299", now()), Some(Duration::from_secs(299)));
    }

    #[test]
    fn nonsense_is_ignored() {
        for value in [&b""[..], b"soon", b"-1", b"1.5", b"\xff"] {
            assert_eq!(parse(value, now()), None, "{value:?}");
        }
    }
}
