//! Messages in the formats of COPY, and how they are sent. All is encoded before time is taken.

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::corpus::Message;

/// Messages that the bridge writes in one transaction, unless it is told otherwise.
pub(crate) const BRIDGE_BATCH: usize = 1000;

/// A piece that goes to the server at once: few system calls, and no large buffer on either side.
const PIECE_BYTES: usize = 64 * 1024;

/// The columns that the bridge writes.
const INBOX_COPY: &str =
    "copy cdc.inbox (stream, topic, payload, message_id, redelivered, sent_at, received_at, headers)
    from stdin (format binary)";

const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const BINARY_TRAILER: i16 = -1;
const INBOX_COLUMNS: i16 = 8;
const NULL: i32 = -1;

/// PostgreSQL's epoch, 2000-01-01.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// Topic and payload, in text format.
pub(crate) fn text_rows(messages: &[Message]) -> Bytes {
    encode(messages, put_text_row)
}

/// Number, topic and payload, in text format; the first number is `first`.
pub(crate) fn numbered_text_rows(first: usize, messages: &[Message]) -> Bytes {
    let mut number = first;
    encode(messages, |bytes, message| {
        bytes.put_slice(number.to_string().as_bytes());
        bytes.put_u8(b'\t');
        put_text_row(bytes, message);
        number += 1;
    })
}

/// What the bridge would write, in binary format.
pub(crate) fn inbox_rows(messages: &[Message]) -> Bytes {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH + POSTGRES_EPOCH).unwrap_or_default().as_micros() as i64;
    let mut bytes = BytesMut::from(BINARY_HEADER);
    for message in messages {
        bytes.put_i16(INBOX_COLUMNS);
        put_field(&mut bytes, b"bench/queue");
        put_field(&mut bytes, message.topic.as_bytes());
        put_field(&mut bytes, message.payload.as_bytes());
        put_field(&mut bytes, message.message_id.as_bytes());
        put_field(&mut bytes, &[0]);
        put_field(&mut bytes, &now.to_be_bytes());
        put_field(&mut bytes, &now.to_be_bytes());
        bytes.put_i32(NULL);
    }
    bytes.put_i16(BINARY_TRAILER);
    bytes.freeze()
}

/// Copies rows of [`inbox_rows`] into the inbox, in a transaction of their own.
pub(crate) async fn copy_to_inbox(client: &Client, rows: Bytes) -> anyhow::Result<()> {
    copy(client, INBOX_COPY, rows).await
}

/// Runs a COPY.
pub(crate) async fn copy(client: &Client, sql: &str, mut rows: Bytes) -> anyhow::Result<()> {
    let mut sink = pin!(client.copy_in(sql).await.with_context(|| format!("cannot start {sql}"))?);
    while !rows.is_empty() {
        let piece = rows.split_to(rows.len().min(PIECE_BYTES));
        sink.feed(piece).await?;
    }
    sink.finish().await.with_context(|| format!("cannot finish {sql}"))?;
    Ok(())
}

fn encode(messages: &[Message], mut put: impl FnMut(&mut BytesMut, &Message)) -> Bytes {
    let mut bytes = BytesMut::new();
    messages.iter().for_each(|message| put(&mut bytes, message));
    bytes.freeze()
}

fn put_text_row(bytes: &mut BytesMut, message: &Message) {
    put_escaped(bytes, &message.topic);
    bytes.put_u8(b'\t');
    put_escaped(bytes, &message.payload);
    bytes.put_u8(b'\n');
}

/// Backslash, tab and the ends of lines have a meaning in the text format.
fn put_escaped(bytes: &mut BytesMut, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => bytes.put_slice(b"\\\\"),
            b'\t' => bytes.put_slice(b"\\t"),
            b'\n' => bytes.put_slice(b"\\n"),
            b'\r' => bytes.put_slice(b"\\r"),
            _ => bytes.put_u8(byte),
        }
    }
}

fn put_field(bytes: &mut BytesMut, field: &[u8]) {
    bytes.put_i32(field.len() as i32);
    bytes.put_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Message {
        Message { topic: topic.to_owned(), payload: payload.to_owned(), message_id: "m".to_owned() }
    }

    #[test]
    fn text_rows_are_escaped_and_numbered() {
        let messages = [message("t/1", "a\\n\"\t"), message("t/2", "b\n")];
        assert_eq!(text_rows(&messages), "t/1\ta\\\\n\"\\t\nt/2\tb\\n\n");
        assert_eq!(numbered_text_rows(9, &messages), "9\tt/1\ta\\\\n\"\\t\n10\tt/2\tb\\n\n");
    }

    #[test]
    fn inbox_rows_are_framed_and_name_each_field_by_its_length() {
        let rows = inbox_rows(&[message("t", "xy")]);
        let rest = rows.strip_prefix(BINARY_HEADER).unwrap();
        assert_eq!(rest[..2], INBOX_COLUMNS.to_be_bytes());
        assert_eq!(rest[2..17], *b"\0\0\0\x0bbench/queue");
        assert_eq!(rest[17..28], *b"\0\0\0\x01t\0\0\0\x02xy");
        assert!(rest.ends_with(&[0xff; 6]));
        assert_eq!(INBOX_COPY.matches(',').count() + 1, INBOX_COLUMNS as usize);
    }
}
