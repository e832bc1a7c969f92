//! A small SMF broker for tests and the demo, which the real libsolclient talks to.
//!
//! It keeps everything in memory and listens on the loopback interface. It speaks the part of SMF
//! version 3 that guaranteed messaging over durable queues needs, and has hooks that play the faults
//! of a real broker on request. See `README.md` beside this crate for what it proves and what not.
//!
//! ```
//! use smf_loopback::{Broker, Config, QueueConfig};
//!
//! let config = Config { queues: vec![QueueConfig::new("q1", ["orders/>"])], ..Config::default() };
//! let broker = Broker::start(config)?;
//! println!("point the client at {}", broker.smf_addr());
//! assert_eq!(broker.stats().queues["q1"].depth, 0);
//! # Ok::<(), smf_loopback::StartError>(())
//! ```
//!
//! From the bytes inwards: [`wire`] turns bytes into frames and back, `session` owns one connection,
//! `broker` decides what a frame means, `queue`, `spool`, `consumer_flow` and `publisher_flow` keep the
//! messages, and `outbox` is the way back to a client. `control` and [`BrokerHandle`] steer it from
//! outside.

mod broker;
mod config;
mod consumer_flow;
mod control;
mod faults;
mod handle;
mod ids;
mod listener;
mod outbox;
mod publisher_flow;
mod queue;
mod session;
mod spool;
mod stats;
mod topic;
pub mod wire;

pub use broker::Broker;
pub use config::{Access, Config, Credentials, Exposure, QueueConfig, Quota};
pub use faults::UnknownQueue;
pub use handle::{BrokerHandle, StartError};
pub use stats::{QueueStats, Stats, WaitError};
pub use topic::{Subscription, SubscriptionError};
