//! The loopback broker, as a process of its own so that its memory and its work show.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
pub use smf_loopback::{QueueStats, Stats};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::paths;
use crate::process::ManagedProcess;
use crate::wait::wait_until;

/// Its one queue.
pub const QUEUE: &str = "cdc-oracle";

/// What it is subscribed to: all topics of the generator.
const SUBSCRIPTION: &str = "cdc/oracle/>";

/// Longest that starting or stopping may take, on a slow machine; both are a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running broker and a connection to its control port.
#[derive(Debug)]
pub struct Broker {
    process: ManagedProcess,
    smf: SocketAddr,
    control: BufStream<TcpStream>,
}

/// What the broker prints once it listens.
#[derive(Debug, Deserialize)]
struct Addresses {
    smf: SocketAddr,
    control: SocketAddr,
}

impl Broker {
    /// Starts a broker with [`QUEUE`] on free ports of the loopback interface; `options` are more of its own. Its output goes
    /// to `folder`.
    ///
    /// # Errors
    /// If it has not been built or does not start.
    pub async fn start(folder: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(paths::program("smf-loopback")?);
        command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        command.args(["--queue", &format!("{QUEUE}={SUBSCRIPTION}")]).args(options);
        let mut process = ManagedProcess::start("broker", command, folder)?;
        let addresses = wait_until(PATIENCE, "the broker tells its addresses", async || {
            process.ensure_running()?;
            let told = std::fs::read_to_string(process.out())?;
            told.ends_with('\n')
                .then(|| serde_json::from_str::<Addresses>(&told))
                .transpose()
                .map_err(Into::into)
        });
        let addresses = addresses.await?;
        let control = TcpStream::connect(addresses.control).await.context("cannot reach the broker")?;
        Ok(Self { process, smf: addresses.smf, control: BufStream::new(control) })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn smf(&self) -> SocketAddr {
        self.smf
    }

    /// The process.
    pub fn process(&mut self) -> &mut ManagedProcess {
        &mut self.process
    }

    /// The counters of now.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn stats(&mut self) -> anyhow::Result<BrokerStats> {
        let mut whole: Stats = serde_json::from_str(&self.ask("stats").await?)?;
        let queue = whole.queues.remove(QUEUE).with_context(|| format!("the broker has no queue {QUEUE}"))?;
        Ok(BrokerStats { whole, queue })
    }

    /// Has it hold the acknowledgements of what is published, or give those that it held.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn hold_acknowledgements(&mut self, hold: bool) -> anyhow::Result<()> {
        self.ask(if hold { "hold-acks on" } else { "hold-acks off" }).await.map(drop)
    }

    /// Sends a line to the control port and returns the line it answers.
    async fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        let mut line = String::new();
        let talk = async {
            self.control.write_all(format!("{command}\n").as_bytes()).await?;
            self.control.flush().await?;
            self.control.read_line(&mut line).await
        };
        let length = talk.await.context("the broker's control port does not answer")?;
        ensure!(length > 0, "the broker has closed its control port");
        Ok(line)
    }

    /// Ends the process in order.
    ///
    /// # Errors
    /// If it does not end well.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process.terminate(PATIENCE)?;
        ensure!(status.success(), "the broker has ended with {status}\n{}", self.process.log_tail());
        Ok(())
    }
}

/// Counters of the broker and of its queue.
#[derive(Debug, Clone, Default)]
pub struct BrokerStats {
    /// The whole broker.
    pub whole: Stats,
    /// [`QUEUE`].
    pub queue: QueueStats,
}
