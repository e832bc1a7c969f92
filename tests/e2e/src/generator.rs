//! `cdc-bridge generate` as a process beside the test.

use std::path::PathBuf;

use anyhow::ensure;
use harness::process::ManagedProcess;
use harness::{Published, wait_until};

use crate::PATIENCE;

/// Schema drift, broken messages, duplicates, and messages out of order and late, as shares of the changes.
pub const EVERY_FAULT: [&str; 10] = [
    "--drift",
    "0.15",
    "--malformed",
    "0.01",
    "--duplicates",
    "0.05",
    "--out-of-order",
    "0.1",
    "--late",
    "0.02",
];

/// What to publish.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    /// Changes, or `None` to go on until [`Generator::stop`].
    pub changes: Option<u64>,
    /// Changes a minute; 0 is as fast as possible.
    pub per_minute: u32,
    /// Seed of the changes and their faults.
    pub seed: u64,
    /// Options of the command line for faults.
    pub faults: &'a [&'a str],
}

impl Traffic<'_> {
    /// The arguments of `cdc-bridge` for it, all but those that say where to.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["generate".to_owned()];
        let mut option = |name: &str, value: u64| arguments.extend([name.to_owned(), value.to_string()]);
        option("--rate", self.per_minute.into());
        option("--seed", self.seed);
        self.changes.iter().for_each(|changes| option("--count", *changes));
        arguments.extend(self.faults.iter().map(|&argument| argument.to_owned()));
        arguments
    }
}

/// A running generator, and the file that tells what it publishes.
#[derive(Debug)]
pub struct Generator {
    pub(crate) process: ManagedProcess,
    pub(crate) record: PathBuf,
}

impl Generator {
    /// Waits until everything is published and the broker has it safe.
    ///
    /// # Errors
    /// If the generator fails, or does not come to its end.
    pub async fn finish(mut self) -> anyhow::Result<Published> {
        let process = &mut self.process;
        let status = wait_until(PATIENCE, "the generator ends", async || process.ended()).await;
        ensure!(status?.success(), "the generator failed:\n{}", self.process.log_tail());
        // Its summary comes last: published=N acked=N rejected=N …
        let summary = self.process.log_tail();
        ensure!(summary.contains(" rejected=0 "), "the broker refused messages:\n{summary}");
        Published::read(&self.record)
    }

    /// Asks it to end, and waits as [`Generator::finish`] does.
    ///
    /// # Errors
    /// As there, or if it has ended before.
    pub async fn stop(mut self) -> anyhow::Result<Published> {
        self.process.ensure_running()?;
        self.process.signal(nix::sys::signal::Signal::SIGTERM)?;
        self.finish().await
    }
}
