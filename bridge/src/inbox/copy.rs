//! Encodes rows of `cdc.inbox` in PostgreSQL's binary COPY format.
//!
//! Written by hand into one reused buffer, since this is the bridge's hottest code: no value is boxed and no type
//! is looked up for each row.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use super::InboxRow;

/// Signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the data.
const TRAILER: i16 = -1;
/// A length of -1 is a null.
const NULL: i32 = -1;
/// First byte of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;
/// The columns in the order of [`CopyBuffer::push`].
pub(super) const COLUMNS: &str =
    "stream, topic, payload, message_id, redelivered, sent_at, received_at, headers";
const COLUMN_COUNT: i16 = 8;

/// PostgreSQL's epoch, 2000-01-01, in microseconds since 1970.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// First `timestamptz`, 4714-11-24 BC, in microseconds since 2000. The last is later than 64 bits can say since 1970.
const FIRST_TIMESTAMP_MICROS: i64 = -211_813_488_000_000_000;

/// What stands for what PostgreSQL cannot store.
const REPLACEMENT: &str = "\u{fffd}";

/// Rows of one stream, gathered into a batch.
pub(crate) struct CopyBuffer {
    stream: String,
    bytes: BytesMut,
    rows: usize,
}

/// A finished batch. Clones share the data.
#[derive(Debug, Clone)]
pub(crate) struct CopyBatch {
    /// The whole of the COPY data.
    pub(crate) data: Bytes,
    /// Number of rows.
    pub(crate) rows: usize,
}

impl CopyBuffer {
    pub(crate) fn new(stream: &str) -> Self {
        Self { stream: mended(stream.as_bytes()).into_owned(), bytes: BytesMut::new(), rows: 0 }
    }

    /// Adds a row. Any row can be added: what cannot be stored is mended.
    pub(crate) fn push(&mut self, row: &InboxRow<'_>) {
        if self.rows == 0 {
            self.bytes.put_slice(HEADER);
        }
        self.rows += 1;
        let bytes = &mut self.bytes;
        bytes.put_i16(COLUMN_COUNT);
        put_field(bytes, self.stream.as_bytes());
        put_field(bytes, mended(row.topic).as_bytes());
        put_optional(bytes, row.payload);
        match row.message_id {
            Some(id) => put_field(bytes, mended(id).as_bytes()),
            None => bytes.put_i32(NULL),
        }
        put_field(bytes, &[u8::from(row.redelivered)]);
        put_timestamp(bytes, row.sent_at_ms.and_then(|ms| ms.checked_mul(1000)));
        put_timestamp(bytes, unix_micros(row.received_at));
        match row.headers {
            Some(json) => {
                bytes.put_i32(field_len(json.len() + 1));
                bytes.put_u8(JSONB_VERSION);
                bytes.put_slice(json.as_bytes());
            }
            None => bytes.put_i32(NULL),
        }
    }

    /// Number of rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The rows so far as a batch; the buffer is empty then. It gets its memory back when the batch is dropped.
    pub(crate) fn finish(&mut self) -> CopyBatch {
        self.bytes.put_i16(TRAILER);
        let rows = std::mem::take(&mut self.rows);
        CopyBatch { data: self.bytes.split().freeze(), rows }
    }
}

fn put_field(bytes: &mut BytesMut, field: &[u8]) {
    bytes.put_i32(field_len(field.len()));
    bytes.put_slice(field);
}

fn put_optional(bytes: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        Some(field) => put_field(bytes, field),
        None => bytes.put_i32(NULL),
    }
}

/// Messages and lines are far below 2 GiB: brokers allow 30 MB, and `replay` 64 MiB.
fn field_len(len: usize) -> i32 {
    i32::try_from(len).unwrap_or_else(|_| unreachable!("a field of {len} bytes"))
}

fn put_timestamp(bytes: &mut BytesMut, unix_micros: Option<i64>) {
    let micros = unix_micros
        .and_then(|micros| micros.checked_sub(POSTGRES_EPOCH_MICROS))
        .filter(|&micros| micros >= FIRST_TIMESTAMP_MICROS);
    match micros {
        Some(micros) => put_field(bytes, &micros.to_be_bytes()),
        None => bytes.put_i32(NULL),
    }
}

fn unix_micros(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// The text with what a `text` cannot hold replaced.
fn mended(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if text.contains('\0') { text.replace('\0', REPLACEMENT).into() } else { text }
}

/// The text of `headers` for a `jsonb` column, with U+0000 replaced in keys and values.
pub(crate) fn headers_text(headers: &Map<String, Value>) -> String {
    let text = to_text(headers);
    // The escape also matches an escaped backslash before `u0000`; then nothing changes but the way.
    if text.contains("\\u0000") { to_text(&without_nul(headers)) } else { text }
}

fn to_text(headers: &Map<String, Value>) -> String {
    serde_json::to_string(headers).unwrap_or_else(|error| unreachable!("JSON values are JSON: {error}"))
}

fn without_nul(headers: &Map<String, Value>) -> Map<String, Value> {
    headers.iter().map(|(name, value)| (name.replace('\0', REPLACEMENT), value_without_nul(value))).collect()
}

fn value_without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('\0', REPLACEMENT).into(),
        Value::Array(elements) => elements.iter().map(value_without_nul).collect(),
        Value::Object(fields) => without_nul(fields).into(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
