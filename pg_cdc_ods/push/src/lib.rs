//! The delivery engine of `pg_cdc_ods`: it posts documents to REST endpoints, and says what became of each.
//!
//! It knows nothing of PostgreSQL and keeps nothing on disk. Its owner, a background worker, claims outbox rows, submits
//! them, and records the outcomes in transactions of its own; the next attempt of a delivery is a new submission. So a
//! crash at any moment loses nothing, and an event is delivered at least once, always with the same identity.
//!
//! ```
//! use std::time::Duration;
//!
//! use cdc_push::{AddressPolicy, Endpoint, EndpointOptions, Engine, EngineOptions, WakeupFd};
//!
//! let (wakeup_fd, wakeup) = WakeupFd::new()?;
//! let mut engine = Engine::start(EngineOptions::default(), wakeup)?;
//! let shop = Endpoint::new("shop", "https://shop.example/api/v1/events", EndpointOptions::default())?;
//! engine.configure(vec![shop], "loopback, link_local".parse::<AddressPolicy>()?);
//! // Then, again and again: submit what is claimed, wait for the descriptor, fetch the outcomes.
//! wakeup_fd.clear();
//! assert!(engine.outcomes().is_empty());
//! engine.shutdown(Duration::from_secs(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From the owner's thread inwards: [`Engine`] is the handle; commands go by a channel to the `scheduler`, a task on a
//! thread of its own; for each endpoint a `line` keeps what waits (`lanes`), and decides with [`Breaker`](BreakerOptions)
//! and pace when a request may be made; a `client` makes it over a `connector`; the `verdict` turns the answer into
//! outcomes, which go back by the `mailbox`.
//!
//! The HTTP client is hyper's own with rustls. A client of a higher level would bring redirects, proxies from the
//! environment, cookies and its own retries, all of which would have to be turned off; and the one thing needed beyond
//! hyper, the check of every address between its resolution and the connection, is a connector in either case.

mod address_policy;
mod backoff;
mod batch;
mod breaker;
mod client;
mod connector;
mod delivery;
mod endpoint;
mod engine;
mod header;
mod lanes;
mod line;
mod mailbox;
mod pace;
mod quiet_thread;
mod retry_after;
mod scheduler;
mod secret;
mod status;
mod tls;
mod verdict;
mod wakeup_fd;

pub use address_policy::{AddressPolicy, AddressRange, RefusedAddress, UnknownRange};
pub use backoff::Backoff;
pub use batch::{BatchOptions, InvalidBatch, MOST_BATCH_ITEMS};
pub use breaker::{BreakerOptions, BreakerState};
pub use delivery::{Delivery, EXCERPT_BYTES, EventId, Exchange, Fate, InvalidEventId, Outcome, Postponement};
pub use endpoint::{Endpoint, EndpointError, EndpointOptions, LONGEST_TIME};
pub use engine::{Engine, EngineOptions, StartError, SubmitError};
pub use header::{Header, HeaderError};
pub use quiet_thread::spawn_without_signals;
pub use retry_after::LONGEST_RETRY_AFTER;
pub use secret::{Authorization, Secret};
pub use status::EndpointStatus;
pub use tls::{Trust, TrustError};
pub use wakeup_fd::WakeupFd;
