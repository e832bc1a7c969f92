//! The generator: `cdc-bridge generate` as a process that publishes to the loopback broker.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;

use crate::bridge;
use crate::broker::Broker;
use crate::process::ManagedProcess;
use crate::wait::wait_until;

/// Longest that it may take to log in.
const LOGIN_PATIENCE: Duration = Duration::from_secs(60);

/// What the summary at the end of its log begins with.
const SUMMARY: &str = "generate: published=";

/// A running generator.
#[derive(Debug)]
pub struct Generator {
    process: ManagedProcess,
}

/// What the generator says at its end. Counts of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Handed to the broker.
    pub published: u64,
    /// Acknowledged by the broker.
    pub acked: u64,
    /// Refused by the broker, such as for a full spool.
    pub rejected: u64,
}

impl Generator {
    /// Starts it with these options, and waits until it has logged in: from then on it ends in order when it is asked to.
    ///
    /// # Errors
    /// If it does not start; the error ends with its log.
    pub async fn start(broker: &mut Broker, options: &[String], folder: &Path) -> anyhow::Result<Self> {
        let logins = broker.stats().await?.whole.logins;
        let mut command = bridge::command(broker)?;
        command.arg("generate").args(options);
        let mut generator = Self { process: ManagedProcess::start("generator", command, folder)? };
        wait_until(LOGIN_PATIENCE, "the generator logs in", async || {
            let has_ended = generator.summary()?.is_some();
            Ok((has_ended || broker.stats().await?.whole.logins > logins).then_some(()))
        })
        .await
        .with_context(|| format!("the generator is not ready\n{}", generator.process.log_tail()))?;
        Ok(generator)
    }

    /// The process.
    pub fn process(&mut self) -> &mut ManagedProcess {
        &mut self.process
    }

    /// Asks it to stop; it still sends what it holds back and waits for answers.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// Its summary, if it has ended.
    ///
    /// # Errors
    /// If it has failed, or told no summary.
    pub fn summary(&mut self) -> anyhow::Result<Option<Summary>> {
        let Some(status) = self.process.ended()? else { return Ok(None) };
        let log = self.process.log_tail();
        ensure!(status.success(), "the generator has ended with {status}\n{log}");
        Ok(Some(parse_summary(&log).with_context(|| format!("the generator tells no summary:\n{log}"))?))
    }
}

fn parse_summary(log: &str) -> Option<Summary> {
    let line = log.lines().rev().find(|line| line.starts_with(SUMMARY))?;
    let count = |name| -> Option<u64> {
        line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    Some(Summary { published: count("published")?, acked: count("acked")?, rejected: count("rejected")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_last_of_its_kind() {
        let log = "generate: seed=1\ngenerate: published=1 acked=0 rejected=0 rate=1/s\n\
                   generate: published=5 acked=3 rejected=2 ORDERS=4 CUSTOMERS=1\nsome log line";
        assert_eq!(parse_summary(log), Some(Summary { published: 5, acked: 3, rejected: 2 }));
    }

    #[test]
    fn a_log_without_counts_has_none() {
        assert_eq!(parse_summary("generate: seed=1"), None);
        assert_eq!(parse_summary("generate: published=5 acked=x rejected=2"), None);
    }
}
