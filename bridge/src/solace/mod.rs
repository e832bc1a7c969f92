//! A thin safe layer over libsolclient, Solace's C library: sessions, flows on durable queues with acks by the
//! application, guaranteed publishing, and provisioning.
//!
//! ```text
//! Library ──► Session ──► Flow ──callback, channel──► InboundMessage ──► Flow::ack
//!                │
//!                └──────► Publisher ──► OutboundMessage      (acks and rejections come back as session events)
//! ```
//!
//! The library is loaded when it is first needed, not when the program starts: the bridge builds and partly works
//! without it, which matters because it has a licence of its own and may not be shipped with the bridge.
//!
//! Threads: each session has one thread of the library's own, on which all its callbacks run, and which also sends
//! acks and keep-alives. Callbacks here only hand things on and never wait. A panic in one is caught and logged,
//! since it may not cross into C. Calls that wait for the broker say so in their documentation.

mod context;
mod error;
mod ffi;
mod flow;
mod library;
mod message;
mod outbound;
mod properties;
mod publisher;
mod session;
mod structured_data;

pub use error::Error;
pub use flow::{Delivery, Flow, FlowEvent, FlowOptions, FlowStart, Held, HeldLimits};
pub use library::Library;
pub use message::{AckId, InboundMessage};
pub use outbound::{MAX_USER_PROPERTY_DEPTH, OutboundMessage};
pub use publisher::{OnRejection, PublishAnswers, Publisher, RejectedMessage};
pub use session::{CertificateCheck, Session, SessionEvent, SessionOptions, Tls};
