//! Messages that cannot be read: copies of good ones, broken in one of several ways.

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::simulator::{DATABASE, Event};
use super::table::pick_from;

/// A way to break a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// JSON that ends too early.
    Truncated,
    /// Text that was never JSON.
    NotJson,
    /// JSON with a byte that UTF-8 does not have.
    InvalidUtf8,
    /// A proper event with text where the key's number should be.
    TextInNumericKey,
    /// `{}`.
    EmptyObject,
}

/// A byte that occurs nowhere in UTF-8.
const INVALID_BYTE: u8 = 0xff;

impl Damage {
    pub(super) const ALL: [Self; 5] =
        [Self::Truncated, Self::NotJson, Self::InvalidUtf8, Self::TextInNumericKey, Self::EmptyObject];

    pub(super) fn pick(rng: &mut ChaCha8Rng) -> Self {
        pick_from(rng, &Self::ALL)
    }

    /// A broken copy of `event` with an application message id of its own.
    pub(super) fn broken_copy(self, event: &Event, rng: &mut ChaCha8Rng) -> Event {
        let good = &event.payload;
        let payload = match self {
            Self::Truncated => good.slice(..rng.random_range(1..good.len())),
            Self::NotJson => Bytes::from(format!("ORA-01013: cancelled at scn {}\n", event.message_id)),
            Self::InvalidUtf8 => with_invalid_byte(good),
            Self::TextInNumericKey => with_text_in_key(good, event.table.key_column()),
            Self::EmptyObject => Bytes::from_static(b"{}"),
        };
        Event { payload, message_id: format!("{}-malformed", event.message_id).into(), ..event.clone() }
    }
}

/// Puts the byte inside the database's name, so that only the encoding is wrong: a reader that replaces what it
/// cannot read would take the event for a good one.
fn with_invalid_byte(good: &Bytes) -> Bytes {
    let mut broken = good.to_vec();
    let name = find(good, format!("\"{DATABASE}\"").as_bytes()).unwrap_or(0);
    broken[name + 1] = INVALID_BYTE;
    broken.into()
}

/// Replaces the number of `key_column` by a text wherever it stands in the row images.
fn with_text_in_key(good: &Bytes, key_column: &str) -> Bytes {
    let member = format!("\"{key_column}\":");
    let mut broken = Vec::with_capacity(good.len() + 2 * member.len());
    let mut rest: &[u8] = good;
    while let Some(start) = find(rest, member.as_bytes()) {
        let (head, tail) = rest.split_at(start + member.len());
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        broken.extend_from_slice(head);
        broken.extend_from_slice(b"\"not a number\"");
        rest = &tail[digits..];
    }
    broken.extend_from_slice(rest);
    broken.into()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::generate::simulator::{Scenario, Simulator};
    use crate::generate::unix_micros::UnixMicros;

    /// Broken copies of some hundred events.
    fn broken(damage: Damage) -> Vec<Event> {
        let scenario = Scenario { seed: 1, schema: "S".into(), topic_prefix: "t".into(), drift: 0.0 };
        let mut simulator = Simulator::new(&scenario, UnixMicros(0));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..500).map(|_| damage.broken_copy(&simulator.next(UnixMicros(0)), &mut rng)).collect()
    }

    #[test]
    fn truncated_and_foreign_texts_are_not_json() {
        for event in [broken(Damage::Truncated), broken(Damage::NotJson)].concat() {
            assert!(serde_json::from_slice::<serde_json::Value>(&event.payload).is_err());
        }
    }

    #[test]
    fn an_invalid_byte_breaks_the_encoding_only() {
        for event in broken(Damage::InvalidUtf8) {
            assert!(std::str::from_utf8(&event.payload).is_err());
            let mended: Vec<u8> =
                event.payload.iter().map(|&byte| if byte == INVALID_BYTE { b'?' } else { byte }).collect();
            assert!(serde_json::from_slice::<serde_json::Value>(&mended).is_ok());
        }
    }

    #[test]
    fn text_in_the_key_leaves_the_event_well_formed() {
        for event in broken(Damage::TextInNumericKey) {
            let body: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
            let image = if body["payload"]["op"] == "d" { "before" } else { "after" };
            assert_eq!(body["payload"][image][event.table.key_column()], "not a number");
        }
    }

    #[test]
    fn an_empty_object_keeps_topic_and_table() {
        let events = broken(Damage::EmptyObject);
        assert!(
            events.iter().all(|event| event.payload.as_ref() == b"{}" && event.topic.starts_with("t/S/"))
        );
    }
}
