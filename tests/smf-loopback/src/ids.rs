//! The numbers that name things inside the broker and on the wire.

/// Number of a guaranteed message in the broker's spool; on the wire it is the "AD message id".
/// Zero is never given out: it stands for "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageId(pub(crate) u64);

impl MessageId {
    /// What a chain of message ids starts from.
    pub(crate) const NONE: Self = Self(0);
}

/// Number of a publisher or consumer flow, given out by the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FlowId(pub(crate) u32);

/// Number of a connection since the broker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// Gives out message ids: 1, 2, 3 and so on, one row for all queues.
#[derive(Debug)]
pub(crate) struct MessageIds {
    last: u64,
}

impl MessageIds {
    pub(crate) fn new() -> Self {
        Self { last: MessageId::NONE.0 }
    }

    pub(crate) fn next(&mut self) -> MessageId {
        self.last += 1;
        MessageId(self.last)
    }
}
