//! Messages of the inbox, in memory of their own: threads may read them, and they outlive the rows they were read from.

use std::ops::Range;

use pgrx::pg_sys;
use serde_json::Value;

use crate::spi_rows::Values;

/// The columns that a message is read from: one that the reader knows, then those in the order of [`Messages::push`].
pub(crate) const MESSAGE_COLUMNS: usize = 9;

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'m> {
    pub(crate) seq: i64,
    pub(crate) stream: &'m str,
    pub(crate) topic: &'m str,
    pub(crate) payload: &'m [u8],
    pub(crate) message_id: Option<&'m str>,
    pub(crate) headers: Option<&'m Value>,
    pub(crate) received_at: pg_sys::TimestampTz,
    pub(crate) sent_at: Option<pg_sys::TimestampTz>,
}

impl<'m> Message<'m> {
    /// The message as decoding takes it.
    pub(crate) fn to_decode(self) -> cdc_core::Message<'m> {
        cdc_core::Message {
            topic: self.topic,
            payload: self.payload,
            headers: self.headers.and_then(Value::as_object),
            message_id: self.message_id,
            arrival: self.seq.unsigned_abs(),
        }
    }
}

/// Bytes that the texts of a message mostly have.
const TEXT_BYTES: usize = 64;

/// Messages in their order.
#[derive(Default)]
pub(crate) struct Messages {
    texts: String,
    payloads: Vec<u8>,
    all: Vec<Stored>,
}

/// A message whose texts and payload are those at these places.
struct Stored {
    seq: i64,
    stream: Range<usize>,
    topic: Range<usize>,
    payload: Range<usize>,
    message_id: Option<Range<usize>>,
    headers: Option<Value>,
    received_at: pg_sys::TimestampTz,
    sent_at: Option<pg_sys::TimestampTz>,
}

impl Messages {
    /// Takes memory for further messages, and about so many bytes of payloads, at once instead of bit by bit.
    pub(crate) fn reserve(&mut self, messages: usize, payload_bytes: usize) {
        self.all.reserve(messages);
        self.texts.reserve(messages * TEXT_BYTES);
        self.payloads.reserve(payload_bytes);
    }

    /// Adds the message in a row with the columns `_, seq, stream, topic, payload, headers, received_at, sent_at,
    /// message_id`.
    pub(crate) fn push(&mut self, row: &Values<'_, MESSAGE_COLUMNS>) {
        let payload_start = self.payloads.len();
        row.copy_bytes(5, &mut self.payloads);
        let mut text = |column| {
            let start = self.texts.len();
            self.texts.push_str(row.text(column)?);
            Some(start..self.texts.len())
        };
        self.all.push(Stored {
            seq: row.word(2).unwrap_or_default(),
            stream: text(3).unwrap_or_default(),
            topic: text(4).unwrap_or_default(),
            payload: payload_start..self.payloads.len(),
            message_id: text(9),
            headers: row.json(6).map(|json| json.0),
            received_at: row.word(7).unwrap_or_default(),
            sent_at: row.word(8),
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The bytes of all payloads.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.all.iter().map(|stored| Message {
            seq: stored.seq,
            stream: &self.texts[stored.stream.clone()],
            topic: &self.texts[stored.topic.clone()],
            payload: &self.payloads[stored.payload.clone()],
            message_id: stored.message_id.clone().map(|place| &self.texts[place]),
            headers: stored.headers.as_ref(),
            received_at: stored.received_at,
            sent_at: stored.sent_at,
        })
    }
}
