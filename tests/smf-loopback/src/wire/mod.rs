//! The bytes: SMF version 3 frames and what stands in them, parsed and written.
//!
//! Nothing here knows of queues or sockets. Parsers take bytes from outside: they never panic and
//! answer with a [`WireError`]. All integers on the wire are big-endian.

pub mod assured_ctrl;
pub mod client_ctrl;
mod error;
mod field;
pub mod frame;
pub mod param;
pub mod response;
pub mod smp;
pub mod trmsg;

pub use error::WireError;
