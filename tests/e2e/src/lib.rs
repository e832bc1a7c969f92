//! The pieces that end-to-end tests share; the tests stand in `tests/`.
//!
//! A [`Pipeline`] is a broker, a private PostgreSQL with the e-commerce preset, and the programs between them:
//!
//! ```text
//! Generator ──► TestBroker ──► bridge ──► Cluster            Published, which the model judges by
//! ```
//!
//! The broker is the loopback double. With `SOLACE_TEST_HOST` set it is that Solace broker, except for tests that need
//! the double's hooks.

mod broker;
mod corpus;
mod generator;
mod pipeline;

pub use broker::TestBroker;
pub use corpus::{generate, stage};
pub use generator::{EVERY_FAULT, Generator, Traffic};
pub use harness::Published;
pub use pipeline::Pipeline;

use std::time::Duration;

/// Longer than anything that a test waits for, on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The seed of a test that plays faults at random: `PG_CDC_ODS_TEST_SEED`, or another one each time. It is printed.
///
/// # Panics
/// If the variable is not a number.
#[must_use]
pub fn seed() -> u64 {
    const VARIABLE: &str = "PG_CDC_ODS_TEST_SEED";
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is not a number: {text:?}")),
        Err(_) => rand::random::<u32>().into(),
    };
    println!("seed {seed}; {VARIABLE}={seed} repeats it");
    seed
}
