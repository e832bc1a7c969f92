//! Counters that tests and the control port look at.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The whole broker at one moment. Totals count from the broker's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Clients that are logged in now.
    pub connections: usize,
    /// Logins accepted.
    pub logins: u64,
    /// Guaranteed messages taken from publishers, each counted once however often it was sent.
    pub published: u64,
    /// Guaranteed messages that publishers sent again and that were not spooled again.
    pub publish_duplicates: u64,
    /// Guaranteed messages refused: over quota, too large, or by request.
    pub publishes_refused: u64,
    /// Guaranteed messages taken that no queue wanted.
    pub unrouted: u64,
    /// Direct messages received.
    pub direct_received: u64,
    /// Copies of messages dropped because a direct subscriber read too slowly.
    pub direct_discarded: u64,
    /// Every queue by its name.
    pub queues: BTreeMap<String, QueueStats>,
}

/// One queue at one moment. Totals count from the queue's creation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Messages in the queue, those sent and not yet acknowledged included.
    pub depth: u64,
    /// Messages sent to a consumer and not yet acknowledged by the application.
    pub unacked: u64,
    /// Bytes of all messages in the queue, headers included.
    pub bytes: u64,
    /// Flows bound to the queue.
    pub flows: usize,
    /// Those of them whose client takes no messages now: it has closed the window.
    #[serde(default)]
    pub stopped_flows: usize,
    /// Messages put into the queue.
    pub enqueued: u64,
    /// Messages removed because the application acknowledged them.
    pub acked: u64,
    /// Messages removed because the application settled them as rejected.
    pub rejected: u64,
    /// Messages sent, redeliveries included.
    pub delivered: u64,
    /// Messages sent with the redelivered mark.
    pub redelivered: u64,
}

/// A condition was not met in time.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not get there within {timeout:?}; its state is {stats:?}")]
pub struct WaitError {
    /// How long was waited.
    pub timeout: Duration,
    /// The state at the end.
    pub stats: Box<Stats>,
}
