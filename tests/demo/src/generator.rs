//! The generator: `cdc-bridge generate`, with some of everything that real feeds have.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use harness::process::ManagedProcess;
use nix::sys::signal::Signal;

use crate::rate::Rate;

/// Shares of the changes: columns that the ODS does not know (of inserted orders), messages that nobody can read,
/// messages that come twice, after their neighbours, and much later. So the dead letter queue, `extra_fields` and the
/// rule of positions have something to do.
const FAULTS: [&str; 10] = [
    "--drift",
    "0.15",
    "--malformed",
    "0.002",
    "--duplicates",
    "0.01",
    "--out-of-order",
    "0.02",
    "--late",
    "0.005",
];

/// What the summary at the end of its log begins with.
const SUMMARY: &str = "generate: published=";

/// A running generator.
#[derive(Debug)]
pub(crate) struct Generator {
    process: ManagedProcess,
}

/// What the generator says at its end. Counts of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Handed to the broker.
    pub(crate) published: u64,
    /// Acknowledged by the broker.
    pub(crate) acked: u64,
    /// Refused by the broker, such as for a full spool.
    pub(crate) rejected: u64,
}

impl Generator {
    /// Starts it; `command` is the bridge's program, with the broker in its environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(mut command: Command, rate: Rate, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        command
            .arg("generate")
            .args(["--rate", &rate.option().to_string(), "--seed", &seed.to_string()])
            .args(FAULTS);
        Ok(Self { process: ManagedProcess::start("generator", command, folder)? })
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut ManagedProcess {
        &mut self.process
    }

    /// Asks it to stop; it still sends what it holds back and waits for answers.
    ///
    /// # Errors
    /// If it has ended already.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// Its summary, if it has ended.
    ///
    /// # Errors
    /// If it has failed, or told no summary.
    pub(crate) fn summary(&mut self) -> anyhow::Result<Option<Summary>> {
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
