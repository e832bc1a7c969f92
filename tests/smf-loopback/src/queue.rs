//! Queues: what they hold, who consumes from them, and which flow gets the next message.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::{Access, Quota};
use crate::consumer_flow::{ConsumerFlow, Settled};
use crate::ids::{FlowId, MessageId, MessageIds, SessionId};
use crate::spool::{Spool, SpooledMessage};
use crate::stats::QueueStats;
use crate::topic::Subscription;
use crate::wire::assured_ctrl::{AckRange, Activity};
use crate::wire::frame::Frame;

/// A queue with its messages and its flows.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    pub(crate) lifetime: Lifetime,
    pub(crate) quota: Quota,
    /// Largest message in bytes, header included.
    pub(crate) max_message_bytes: u64,
    subscriptions: HashSet<Subscription>,
    spool: Spool,
    /// Bound flows, longest bound first.
    flows: Vec<ConsumerFlow>,
    /// Whose turn it is on a non-exclusive queue.
    turn: usize,
    dispatch: Dispatch,
    counts: Counts,
}

/// How long a queue lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until it is deleted.
    Durable,
    /// As long as the connection that made it.
    Temporary(SessionId),
}

/// Whether something happened that may let a message go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dispatch {
    Due,
    Done,
}

/// `depth` and `bytes` include what was sent and is not acknowledged; the others are totals.
#[derive(Debug, Default)]
struct Counts {
    depth: u64,
    bytes: u64,
    enqueued: u64,
    acked: u64,
    rejected: u64,
    delivered: u64,
    redelivered: u64,
}

/// Why a message cannot go into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    OverQuota,
    MessageTooLarge,
}

impl Queue {
    pub(crate) fn new(name: Arc<str>, access: Access, lifetime: Lifetime) -> Self {
        Self {
            name,
            access,
            lifetime,
            quota: Quota::UNLIMITED,
            max_message_bytes: u64::MAX,
            subscriptions: HashSet::new(),
            spool: Spool::default(),
            flows: Vec::new(),
            turn: 0,
            dispatch: Dispatch::Done,
            counts: Counts::default(),
        }
    }

    /// Adds a subscription; false if it was there.
    pub(crate) fn subscribe(&mut self, subscription: Subscription) -> bool {
        self.subscriptions.insert(subscription)
    }

    /// Removes a subscription; false if it was not there.
    pub(crate) fn unsubscribe(&mut self, subscription: &Subscription) -> bool {
        self.subscriptions.remove(subscription)
    }

    /// Whether messages on this topic go into the queue.
    pub(crate) fn attracts(&self, topic: &str) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.matches(topic))
    }

    /// Whether a message of this size fits in.
    pub(crate) fn check_room(&self, message_bytes: u64) -> Result<(), Full> {
        if message_bytes > self.max_message_bytes {
            return Err(Full::MessageTooLarge);
        }
        let fits = self.counts.depth < self.quota.messages
            && self.counts.bytes.saturating_add(message_bytes) <= self.quota.bytes;
        if fits { Ok(()) } else { Err(Full::OverQuota) }
    }

    /// Bytes of all messages in the queue.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes
    }

    /// Puts a message in. It goes out with the next [`dispatch_due`](Self::dispatch_due).
    pub(crate) fn enqueue(&mut self, id: MessageId, frame: Frame) {
        let message = SpooledMessage { id, frame, redeliveries: 0 };
        self.counts.depth += 1;
        self.counts.enqueued += 1;
        self.counts.bytes += message.bytes();
        self.spool.push(message);
        self.dispatch = Dispatch::Due;
    }

    /// Binds a flow and says whether it will get messages.
    pub(crate) fn bind(&mut self, flow: ConsumerFlow) -> Activity {
        self.flows.push(flow);
        self.dispatch = Dispatch::Due;
        match self.access {
            Access::Exclusive if self.flows.len() > 1 => Activity::Inactive,
            _ => Activity::Active,
        }
    }

    /// Ends a flow. What it had not acknowledged waits to be redelivered.
    pub(crate) fn unbind(&mut self, id: FlowId) {
        self.remove_flows(|flow| flow.id == id);
    }

    /// Ends all flows of a connection.
    pub(crate) fn unbind_session(&mut self, session: SessionId) {
        self.remove_flows(|flow| flow.session == session);
    }

    fn remove_flows(&mut self, leaves: impl Fn(&ConsumerFlow) -> bool) {
        let active = self.flows.first().map(|flow| flow.id);
        for flow in self.flows.extract_if(.., |flow| leaves(flow)) {
            flow.into_unacked().for_each(|message| self.spool.put_back(message));
        }
        self.dispatch = Dispatch::Due;
        if self.access == Access::Exclusive
            && let Some(first) = self.flows.first()
            && Some(first.id) != active
        {
            first.activate();
        }
    }

    /// All flows bound.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (SessionId, FlowId)> {
        self.flows.iter().map(|flow| (flow.session, flow.id))
    }

    /// Takes a client's acknowledgement for one of the flows.
    pub(crate) fn acknowledge(
        &mut self,
        id: FlowId,
        received: MessageId,
        window: u8,
        ranges: &[AckRange],
        ids: &mut MessageIds,
    ) {
        let Some(flow) = self.flows.iter_mut().find(|flow| flow.id == id) else { return };
        flow.received(received, window);
        let mut settled = Settled::default();
        for range in ranges {
            flow.settle(range, &mut settled);
        }
        self.counts.depth -= settled.accepted + settled.rejected;
        self.counts.bytes -= settled.bytes;
        self.counts.acked += settled.accepted;
        self.counts.rejected += settled.rejected;
        for message in settled.failed {
            self.requeue(SpooledMessage { redeliveries: message.redeliveries + 1, ..message }, ids);
        }
        self.dispatch = Dispatch::Due;
    }

    /// Puts a message at the end under a new id: a living flow takes only ids above its last one.
    fn requeue(&mut self, message: SpooledMessage, ids: &mut MessageIds) {
        self.spool.push(SpooledMessage { id: ids.next(), ..message });
    }

    /// Lets the next [`dispatch_due`](Self::dispatch_due) try again: a client has read what was under
    /// way to it.
    pub(crate) fn retry_dispatch(&mut self) {
        self.dispatch = Dispatch::Due;
    }

    /// Sends what the flows can take, if anything changed since the last time.
    pub(crate) fn dispatch_due(&mut self, ids: &mut MessageIds) {
        if self.dispatch == Dispatch::Done {
            return;
        }
        self.dispatch = Dispatch::Done;
        while let Some(first) = self.spool.first_id()
            && let Some(index) = self.next_flow()
            && let Some(message) = self.spool.pop()
        {
            let flow = &mut self.flows[index];
            if first <= flow.last_sent() {
                self.requeue(message, ids);
                continue;
            }
            self.turn = index + 1;
            self.counts.delivered += 1;
            self.counts.redelivered += u64::from(message.redeliveries > 0);
            flow.send(message);
        }
        self.flows.iter().for_each(ConsumerFlow::flush);
    }

    /// The flow that gets the next message, if one has room.
    fn next_flow(&self) -> Option<usize> {
        match self.access {
            Access::Exclusive => self.flows.first().filter(|flow| flow.has_room()).map(|_| 0),
            Access::NonExclusive => {
                let count = self.flows.len();
                let mut turns = (0..count).map(|offset| (self.turn + offset) % count);
                turns.find(|index| self.flows[*index].has_room())
            }
        }
    }

    /// The queue's numbers now.
    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            depth: self.counts.depth,
            unacked: self.flows.iter().map(ConsumerFlow::unacked).sum(),
            bytes: self.counts.bytes,
            flows: self.flows.len(),
            stopped_flows: self.flows.iter().filter(|flow| flow.is_stopped()).count(),
            enqueued: self.counts.enqueued,
            acked: self.counts.acked,
            rejected: self.counts.rejected,
            delivered: self.counts.delivered,
            redelivered: self.counts.redelivered,
        }
    }
}
