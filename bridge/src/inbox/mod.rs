//! The way into PostgreSQL: rows of `cdc.inbox`, written by binary COPY in batches that are one transaction each.
//!
//! What PostgreSQL cannot store must not stop a batch, so it is mended while a row is encoded: bytes of a text
//! that are not UTF-8, and U+0000 in texts and headers, become U+FFFD; times that PostgreSQL cannot say become null.
//! The payload is never touched.

mod connection;
mod copy;
mod error;
mod tls;

pub(crate) use connection::{InboxWriter, connect};
pub(crate) use copy::{CopyBatch, CopyBuffer, headers_text};
pub(crate) use error::InboxError;

use std::time::SystemTime;

/// A message as the inbox keeps it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboxRow<'a> {
    /// Topic; should be UTF-8.
    pub(crate) topic: &'a [u8],
    /// Body as it came; `None` if the message had none.
    pub(crate) payload: Option<&'a [u8]>,
    /// What tells it from other messages, the same for each delivery; should be UTF-8.
    pub(crate) message_id: Option<&'a [u8]>,
    /// Whether the broker says that it may have been delivered before.
    pub(crate) redelivered: bool,
    /// When the publisher sent it, in ms since 1970.
    pub(crate) sent_at_ms: Option<i64>,
    /// When it arrived.
    pub(crate) received_at: SystemTime,
    /// User properties: a JSON text from [`headers_text`].
    pub(crate) headers: Option<&'a str>,
}
