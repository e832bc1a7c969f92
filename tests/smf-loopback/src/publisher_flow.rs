//! Publisher flows: which messages of a publisher the broker has, and what it owes in acknowledgements.

/// A publisher's numbered row of messages. It outlives connections: a publisher that comes back names
/// its flow and is told how far the broker got.
#[derive(Debug, Default)]
pub(crate) struct PublisherFlow {
    last: u64,
    ack: AckState,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum AckState {
    #[default]
    Sent,
    Owed,
}

/// What to do with a message of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Not seen before.
    New,
    /// Seen before: acknowledge it again and forget it.
    Duplicate,
}

impl PublisherFlow {
    /// Judges a message by its number. Numbers only rise on a flow.
    pub(crate) fn offer(&mut self, message_id: u64) -> Offer {
        if message_id > self.last {
            Offer::New
        } else {
            self.ack = AckState::Owed;
            Offer::Duplicate
        }
    }

    /// The broker has the message now and owes an acknowledgement.
    pub(crate) fn accepted(&mut self, message_id: u64) {
        self.last = message_id;
        self.ack = AckState::Owed;
    }

    /// The broker refused the message and said so: it shall not come again.
    pub(crate) fn refused(&mut self, message_id: u64) {
        self.last = message_id;
        self.ack = AckState::Sent;
    }

    /// The number up to which an acknowledgement is owed; asking settles the debt.
    pub(crate) fn take_owed_ack(&mut self) -> Option<u64> {
        let owed = std::mem::take(&mut self.ack);
        (owed == AckState::Owed).then_some(self.last)
    }

    /// Highest number that was taken or refused.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_messages_is_acknowledged_once() {
        let mut flow = PublisherFlow::default();
        for id in 1..=3 {
            assert_eq!(flow.offer(id), Offer::New);
            flow.accepted(id);
        }
        assert_eq!(flow.take_owed_ack(), Some(3));
        assert_eq!(flow.take_owed_ack(), None);
    }

    #[test]
    fn a_retransmission_is_acknowledged_again_but_not_new() {
        let mut flow = PublisherFlow::default();
        flow.accepted(1);
        flow.accepted(2);
        flow.take_owed_ack();
        assert_eq!(flow.offer(1), Offer::Duplicate);
        assert_eq!(flow.take_owed_ack(), Some(2));
    }

    #[test]
    fn a_refused_message_is_not_taken_when_it_comes_again() {
        let mut flow = PublisherFlow::default();
        flow.refused(1);
        assert_eq!(flow.take_owed_ack(), None);
        assert_eq!(flow.offer(1), Offer::Duplicate);
    }
}
