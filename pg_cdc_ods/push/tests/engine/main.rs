//! The engine against a real receiver: each test says what the owner submits, what the endpoint does, and what becomes
//! of the deliveries.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod answers;
mod batches;
mod breaker;
mod configuration;
mod ending;
mod limits;
mod order;
mod owner;
mod tls;
