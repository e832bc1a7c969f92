//! The wire codec against frames of the real client library, and against bytes that are none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arbitrary_bytes;
mod fixtures;
mod round_trip;
mod written;
