//! The messages of one queue that wait to be sent, in the order in which they are sent.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::MessageId;
use crate::wire::frame::Frame;

/// A guaranteed message in the broker.
#[derive(Debug)]
pub(crate) struct SpooledMessage {
    pub(crate) id: MessageId,
    /// The publisher's frame; its bytes are shared by all queues that hold the message.
    pub(crate) frame: Frame,
    /// How often the message came back unacknowledged.
    pub(crate) redeliveries: u32,
}

impl SpooledMessage {
    pub(crate) fn bytes(&self) -> u64 {
        self.frame.bytes().len() as u64
    }
}

/// Waiting messages by rising id. New ones have the highest id and so only ever join at the end; those
/// that come back keep their old ids and wait apart.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    fresh: VecDeque<SpooledMessage>,
    returned: BTreeMap<MessageId, SpooledMessage>,
}

impl Spool {
    /// Adds a message whose id is higher than all before.
    pub(crate) fn push(&mut self, message: SpooledMessage) {
        debug_assert!(self.fresh.back().is_none_or(|last| last.id < message.id));
        self.fresh.push_back(message);
    }

    /// Takes a message back that was sent and not acknowledged.
    pub(crate) fn put_back(&mut self, mut message: SpooledMessage) {
        message.redeliveries += 1;
        self.returned.insert(message.id, message);
    }

    /// Id of the next message.
    pub(crate) fn first_id(&self) -> Option<MessageId> {
        let returned = self.returned.first_key_value().map(|(id, _)| *id);
        let fresh = self.fresh.front().map(|message| message.id);
        match (returned, fresh) {
            (Some(returned), Some(fresh)) => Some(returned.min(fresh)),
            (one, other) => one.or(other),
        }
    }

    /// Takes the next message out.
    pub(crate) fn pop(&mut self) -> Option<SpooledMessage> {
        let first = self.first_id()?;
        match self.returned.remove(&first) {
            Some(message) => Some(message),
            None => self.fresh.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{FrameWriter, Header, Protocol};

    fn message(id: u64) -> SpooledMessage {
        let mut bytes = Vec::new();
        FrameWriter::begin(&mut bytes, Header::from_broker(Protocol::TrMsg)).finish(|_| {});
        SpooledMessage { id: MessageId(id), frame: Frame::parse(bytes.into()).unwrap(), redeliveries: 0 }
    }

    fn drain(spool: &mut Spool) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| spool.pop()).map(|message| (message.id.0, message.redeliveries)).collect()
    }

    #[test]
    fn messages_leave_in_the_order_they_came() {
        let mut spool = Spool::default();
        for id in [1, 2, 5] {
            spool.push(message(id));
        }
        assert_eq!(drain(&mut spool), [(1, 0), (2, 0), (5, 0)]);
    }

    #[test]
    fn returned_messages_go_to_their_old_place_and_count_it() {
        let mut spool = Spool::default();
        for id in 1..=4 {
            spool.push(message(id));
        }
        let (first, second) = (spool.pop().unwrap(), spool.pop().unwrap());
        spool.put_back(second);
        spool.put_back(first);
        assert_eq!(drain(&mut spool), [(1, 1), (2, 1), (3, 0), (4, 0)]);
    }

    #[test]
    fn a_message_counts_every_return() {
        let mut spool = Spool::default();
        spool.push(message(1));
        for _ in 0..3 {
            let message = spool.pop().unwrap();
            spool.put_back(message);
        }
        assert_eq!(drain(&mut spool), [(1, 3)]);
    }
}
