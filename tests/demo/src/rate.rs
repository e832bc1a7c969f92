//! How fast the generator is to publish, as the user says it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::amount::grouped;

/// Speed of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// So many changes, evenly spaced.
    EventsPerMinute(NonZeroU32),
    /// As fast as generator and broker can.
    Unlimited,
}

impl Rate {
    /// As the option `--rate` of `cdc-bridge generate` has it.
    pub(crate) fn option(self) -> u32 {
        match self {
            Self::EventsPerMinute(events) => events.get(),
            Self::Unlimited => 0,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    /// A number of events a minute; `0` and `max` have no limit.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Unlimited);
        }
        let events: u32 =
            text.parse().map_err(|_| format!("{text:?} is neither a number of events a minute nor max"))?;
        Ok(NonZeroU32::new(events).map_or(Self::Unlimited, Self::EventsPerMinute))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventsPerMinute(events) => write!(f, "{} events a minute", grouped(events.get().into())),
            Self::Unlimited => write!(f, "as many events as go"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_max_have_no_limit() {
        for text in ["0", "max", "MAX"] {
            assert_eq!(text.parse(), Ok(Rate::Unlimited), "{text}");
        }
        assert_eq!(Rate::Unlimited.option(), 0);
    }

    #[test]
    fn a_number_is_events_a_minute() {
        let rate: Rate = "20000".parse().unwrap();
        assert_eq!((rate.option(), rate.to_string().as_str()), (20_000, "20,000 events a minute"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "fast", "-1", "1.5", "4294967296"] {
            assert!(text.parse::<Rate>().unwrap_err().contains("neither"), "{text}");
        }
    }
}
