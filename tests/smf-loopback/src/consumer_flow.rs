//! Consumer flows: one client's binding to a queue, its window and what it has not acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::{FlowId, MessageId, SessionId};
use crate::outbox::Outbox;
use crate::spool::SpooledMessage;
use crate::wire::assured_ctrl::{AckRange, Activity, FlowChanges, Outcome, write_flow_change};
use crate::wire::trmsg::{Delivery, write_delivery};

/// A flow that takes messages of a queue to a client.
///
/// Two things are acknowledged independently: the transport ack says what the client has received and
/// moves the window; application acks say what may be forgotten.
#[derive(Debug)]
pub(crate) struct ConsumerFlow {
    pub(crate) id: FlowId,
    pub(crate) session: SessionId,
    outbox: Arc<Outbox>,
    flow_changes: FlowChanges,
    /// Most messages sent and not received. Zero until the client says that it is ready.
    window: u8,
    /// Ids sent and not received, oldest first.
    in_transit: VecDeque<MessageId>,
    /// Messages sent that the application has not settled.
    unacked: BTreeMap<MessageId, SpooledMessage>,
    last_sent: MessageId,
}

/// Messages that an acknowledgement settled.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Bytes of the messages accepted and rejected.
    pub(crate) bytes: u64,
    /// Messages to deliver again.
    pub(crate) failed: Vec<SpooledMessage>,
}

impl ConsumerFlow {
    pub(crate) fn new(
        id: FlowId,
        session: SessionId,
        outbox: Arc<Outbox>,
        flow_changes: FlowChanges,
    ) -> Self {
        Self {
            id,
            session,
            outbox,
            flow_changes,
            window: 0,
            in_transit: VecDeque::new(),
            unacked: BTreeMap::new(),
            last_sent: MessageId::NONE,
        }
    }

    /// Whether a message can be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.in_transit.len() < usize::from(self.window) && !self.outbox.is_full()
    }

    /// Id of the last message sent. The client drops what is not above it.
    pub(crate) fn last_sent(&self) -> MessageId {
        self.last_sent
    }

    /// Sends a message and remembers it until it is acknowledged.
    pub(crate) fn send(&mut self, message: SpooledMessage) {
        debug_assert!(message.id > self.last_sent);
        let delivery = Delivery {
            flow: self.id.0,
            message_id: message.id.0,
            previous_id: self.last_sent.0,
            redeliveries: message.redeliveries,
        };
        self.outbox.push(|out| write_delivery(out, &message.frame, &delivery));
        self.last_sent = message.id;
        self.in_transit.push_back(message.id);
        self.unacked.insert(message.id, message);
    }

    /// Lets what was sent go out.
    pub(crate) fn flush(&self) {
        self.outbox.flush();
    }

    /// Takes a transport ack.
    pub(crate) fn received(&mut self, up_to: MessageId, window: u8) {
        while self.in_transit.front().is_some_and(|id| *id <= up_to) {
            self.in_transit.pop_front();
        }
        self.window = window;
    }

    /// Whether the client takes no messages.
    pub(crate) fn is_stopped(&self) -> bool {
        self.window == 0
    }

    /// Takes an application ack. Ids that are not waiting for one are ignored: clients repeat ranges.
    pub(crate) fn settle(&mut self, range: &AckRange, settled: &mut Settled) {
        if range.first > range.last {
            return;
        }
        let ids = MessageId(range.first)..=MessageId(range.last);
        for (_, message) in self.unacked.extract_if(ids, |_, _| true) {
            match range.outcome {
                Outcome::Failed => {
                    settled.failed.push(message);
                    continue;
                }
                Outcome::Accepted => settled.accepted += 1,
                Outcome::Rejected => settled.rejected += 1,
            }
            settled.bytes += message.bytes();
        }
    }

    /// Number of messages not settled.
    pub(crate) fn unacked(&self) -> u64 {
        self.unacked.len() as u64
    }

    /// Tells the client that the flow gets messages from now on, if it asked to be told.
    pub(crate) fn activate(&self) {
        if self.flow_changes == FlowChanges::Reported {
            self.outbox.push(|out| write_flow_change(out, self.id.0, Activity::Active));
            self.outbox.flush();
        }
    }

    /// Ends the flow: what was not settled goes back to the queue.
    pub(crate) fn into_unacked(self) -> impl Iterator<Item = SpooledMessage> {
        self.unacked.into_values()
    }
}
