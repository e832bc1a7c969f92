//! Messages on their way into one transaction.

use tokio::time::Instant;

use crate::config::BatchLimits;
use crate::inbox::{CopyBatch, CopyBuffer, InboxRow, headers_text};
use crate::solace::{AckId, InboundMessage};

/// A batch in the making: encoded rows, and what acknowledges their messages.
///
/// Messages are encoded and freed at once, so that the library's buffers are not pinned while a batch is written.
pub(super) struct Batch {
    limits: BatchLimits,
    rows: CopyBuffer,
    acks: Vec<AckId>,
    /// When it is to be written even if it is not full.
    deadline: Option<Instant>,
}

impl Batch {
    pub(super) fn new(stream: &str, limits: BatchLimits) -> Self {
        Self { limits, rows: CopyBuffer::new(stream), acks: Vec::new(), deadline: None }
    }

    /// Adds a message and frees it.
    pub(super) fn add(&mut self, message: &InboundMessage) {
        self.deadline.get_or_insert_with(|| Instant::now() + self.limits.linger);
        let replication_id = message.replication_group_message_id();
        let headers = message.user_properties().map(|properties| headers_text(&properties));
        self.rows.push(&InboxRow {
            topic: message.destination().map_or(b"", |topic| topic.to_bytes()),
            payload: message.payload(),
            message_id: match &replication_id {
                Some(id) => Some(id.as_bytes()),
                None => message.application_message_id().map(std::ffi::CStr::to_bytes),
            },
            redelivered: message.redelivered(),
            sent_at_ms: message.sender_timestamp_ms(),
            received_at: message.received_at(),
            headers: headers.as_deref(),
        });
        self.acks.extend(message.ack_id());
    }

    /// Whether it should be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.rows.rows() >= self.limits.messages || self.rows.len() >= self.limits.bytes
    }

    /// When a batch that has a message is to be written at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ends the batch: its data, and what to acknowledge once they are committed.
    pub(super) fn finish(&mut self) -> (CopyBatch, Vec<AckId>) {
        self.deadline = None;
        (self.rows.finish(), std::mem::take(&mut self.acks))
    }
}
