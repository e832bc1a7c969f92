//! A running broker and a small client of the test's own, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod client;
mod consuming;
mod control_port;
mod faults;
mod login;
mod provisioning;
mod publishing;
