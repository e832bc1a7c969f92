//! What the engine takes, and what it answers: one [`Outcome`] for each [`Delivery`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::header::Header;

/// Identity of an event: a UUID in its usual text form. It is sent as `Idempotency-Key`, so that a receiver can drop
/// what it has already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventId(String);

/// A text is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID of the form 8-4-4-4-12 hexadecimal digits")]
pub struct InvalidEventId(String);

impl EventId {
    /// The UUID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let groups = text.split('-').map(str::len);
        let digits = text.bytes().filter(|byte| *byte != b'-').all(|byte| byte.is_ascii_hexdigit());
        if digits && groups.eq([8, 4, 4, 4, 12]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEventId(text.to_owned()))
        }
    }
}

/// One outbox row on its way to one endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The row's number: names it in the outcome, and must be unique among those that the engine holds.
    pub id: i64,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Deliveries of one key and endpoint are sent in the order in which they were submitted. Without a key there is
    /// no order.
    pub key: Option<String>,
    /// The event's identity, the same for every attempt.
    pub event_id: EventId,
    /// The JSON document to post.
    pub body: Bytes,
    /// Which attempt this is; 1 for the first.
    pub attempt: u32,
    /// Headers of this delivery alone, which win over those of the endpoint. A batch has no headers of its own: an
    /// endpoint that takes batches gets such a delivery alone.
    pub headers: Vec<Header>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The delivery's number.
    pub id: i64,
    /// What became of it.
    pub fate: Fate,
    /// The request, if it came to one.
    pub exchange: Option<Exchange>,
}

impl Outcome {
    /// A delivery is given back without a request.
    pub(crate) fn postponed(id: i64, after: Duration, reason: Postponement) -> Self {
        Self { id, fate: Fate::Postponed { after, reason }, exchange: None }
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Status of the answer; none if there was none.
    pub status: Option<u16>,
    /// From the beginning of the request, connecting included, to the answer's head or the failure.
    pub latency: Duration,
    /// The beginning of the answer's body, at most [`EXCERPT_BYTES`] of it. It has no NUL, which PostgreSQL's `text`
    /// refuses; what is not UTF-8 is replaced.
    pub excerpt: String,
    /// Deliveries in the request.
    pub items: usize,
}

/// The four things that can become of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The endpoint took it: it answered with 2xx.
    Delivered,
    /// It was tried and failed in a way that may pass. The attempt counts.
    Retry {
        /// How long to wait before the next attempt.
        after: Duration,
        /// What went wrong.
        error: String,
    },
    /// It will not be tried again: the endpoint refused it, or its attempts are used up. The attempt counts.
    Dead {
        /// What went wrong.
        error: String,
    },
    /// It was not answered, for a reason that is not its own. No attempt counts.
    Postponed {
        /// How long to wait before it is submitted again.
        after: Duration,
        /// Why.
        reason: Postponement,
    },
}

impl Fate {
    /// Whether the delivery is over and those behind it may go.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Delivered | Self::Dead { .. })
    }
}

/// Most bytes of an answer's body that an outcome carries: enough for an error message, not for a page.
pub const EXCERPT_BYTES: usize = 2048;

/// Why a delivery was given back unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postponement {
    /// The endpoint's circuit breaker is open.
    BreakerOpen,
    /// The endpoint asked by `Retry-After` to be left alone for a while.
    EndpointPaused,
    /// An earlier delivery of the same key was given back, and must not be overtaken.
    BehindEarlier,
    /// It waited for its turn as long as the engine holds a delivery.
    HeldTooLong,
    /// Its endpoint was removed.
    EndpointRemoved,
    /// The engine failed. The endpoint may have taken it.
    EngineFailed,
    /// The engine shuts down, and it had not been sent.
    ShuttingDown,
    /// It was sent, and given up without an answer as the engine shut down. The endpoint may have taken it.
    Interrupted,
}

impl fmt::Display for Postponement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BreakerOpen => "the endpoint's circuit breaker is open",
            Self::EndpointPaused => "the endpoint asked for a pause",
            Self::BehindEarlier => "an earlier delivery of the same key waits",
            Self::HeldTooLong => "its turn did not come in time",
            Self::EndpointRemoved => "the endpoint was removed",
            Self::EngineFailed => "the delivery engine failed",
            Self::ShuttingDown => "the push worker shuts down",
            Self::Interrupted => "the push worker shut down before the endpoint answered",
        })
    }
}

#[cfg(test)]
impl Delivery {
    /// A first attempt without key and headers.
    pub(crate) fn example(id: i64, body: &'static str) -> Self {
        let event_id = EventId(format!("00000000-0000-4000-8000-{id:012}"));
        let body = Bytes::from_static(body.as_bytes());
        Self { id, endpoint: "shop".to_owned(), key: None, event_id, body, attempt: 1, headers: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_a_uuid() {
        let text = "8c6f0a52-3f3e-4b53-9d60-6E1f0a3b9c11";
        assert_eq!(text.parse::<EventId>().unwrap().as_str(), text);
        for wrong in
            ["", "8c6f0a52", "8c6f0a523f3e4b539d606e1f0a3b9c11", "8c6f0a52-3f3e-4b53-9d60-6e1f0a3b9c1g"]
        {
            assert_eq!(wrong.parse::<EventId>(), Err(InvalidEventId(wrong.to_owned())));
        }
    }
}
