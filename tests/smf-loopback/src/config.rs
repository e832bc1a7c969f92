//! What a broker is started with.

use std::net::{Ipv4Addr, SocketAddr};

use crate::topic::{Subscription, SubscriptionError};

/// Bytes of messages that all queues together may hold, if the configuration does not say.
const DEFAULT_SPOOL_BYTES: u64 = 512 * 1024 * 1024;

/// Largest message that is taken, in bytes of the whole frame; the size real brokers have by default.
const DEFAULT_MAX_MESSAGE_BYTES: u32 = 10_000_000;

/// Each connection costs two threads; tests open a handful.
const DEFAULT_MAX_CONNECTIONS: usize = 100;

/// Everything a broker needs to know at its start. `Config::default()` is an open broker without
/// queues on two free loopback ports.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control port listens. Port 0 takes a free one.
    pub control: SocketAddr,
    /// Whether an address beyond the loopback interface is allowed.
    pub exposure: Exposure,
    /// Durable queues that exist from the start.
    pub queues: Vec<QueueConfig>,
    /// The one user that may log in; `None` lets everybody in.
    pub credentials: Option<Credentials>,
    /// The only message VPN there is; `None` takes any name.
    pub vpn: Option<String>,
    /// Bytes of messages that all queues together may hold. Beyond it publishes are refused.
    pub spool_bytes: u64,
    /// Largest message in bytes, header included.
    pub max_message_bytes: u32,
    /// Logins beyond this number are refused with "Too Many Clients".
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: free_port,
            control: free_port,
            exposure: Exposure::LoopbackOnly,
            queues: Vec::new(),
            credentials: None,
            vpn: None,
            spool_bytes: DEFAULT_SPOOL_BYTES,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_connections: DEFAULT_MAX_CONNECTIONS,
        }
    }
}

/// Which addresses the broker may listen on. It has no encryption and its control port no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Only loopback addresses; others are an error at start.
    LoopbackOnly,
    /// Any address: the caller knows that the network is closed.
    AnyAddress,
}

/// User name and password of the one client user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password in plain text.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A durable queue that exists from the start.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Name, as clients bind to it.
    pub name: String,
    /// How several flows share the queue.
    pub access: Access,
    /// Topic subscriptions in Solace syntax, such as `cdc/oracle/>`.
    pub subscriptions: Vec<String>,
    /// How much the queue holds.
    pub quota: Quota,
}

impl QueueConfig {
    /// An exclusive queue without a quota of its own.
    pub fn new<S: Into<String>>(name: impl Into<String>, subscriptions: impl IntoIterator<Item = S>) -> Self {
        Self {
            name: name.into(),
            access: Access::Exclusive,
            subscriptions: subscriptions.into_iter().map(Into::into).collect(),
            quota: Quota::UNLIMITED,
        }
    }

    pub(crate) fn parsed_subscriptions(&self) -> Result<Vec<Subscription>, SubscriptionError> {
        self.subscriptions.iter().map(|text| Subscription::parse(text)).collect()
    }
}

/// How several flows share a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The flow bound first gets every message, the others wait for it to go.
    Exclusive,
    /// The flows take turns.
    NonExclusive,
}

/// What a queue may hold, messages sent and not yet acknowledged included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Number of messages.
    pub messages: u64,
    /// Bytes of messages, headers included.
    pub bytes: u64,
}

impl Quota {
    /// Bounded only by the broker's whole spool.
    pub const UNLIMITED: Self = Self { messages: u64::MAX, bytes: u64::MAX };

    /// No room for any message: what is published to the queue is refused.
    pub const FULL: Self = Self { messages: 0, bytes: 0 };
}
