//! The pieces of the pipeline: started one after the other, watched, and stopped in order.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::bridge::{self, Destination};
use harness::broker::Broker;
use harness::cluster::{Cluster, StopMode};
use harness::generator::{Generator, Summary};
use harness::paths;
use harness::process::ManagedProcess;
use tempfile::TempDir;

use crate::alert_receiver::AlertReceiver;
use crate::database;
use crate::rate::Rate;

/// Longest that the bridge may take to end; it ends itself after 30 s.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(40);

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

/// All pieces, in the order in which they are dropped if something fails: from the source to the receiver of alerts.
#[derive(Debug)]
pub(crate) struct Pieces {
    generator: Generator,
    bridge: ManagedProcess,
    broker: Broker,
    cluster: Cluster,
    alert_receiver: AlertReceiver,
    /// Set while the generator is to run.
    publishing: bool,
    /// Output of the processes.
    _folder: TempDir,
}

impl Pieces {
    /// Starts everything; the generator comes last, when the bridge is bound to its queue.
    ///
    /// # Errors
    /// If a piece is missing or does not start; the error ends with its log.
    pub(crate) async fn start(rate: Rate, seed: u64) -> anyhow::Result<Self> {
        bridge::solclient()?;
        let folder = tempfile::Builder::new().prefix("demo-").tempdir_in(paths::run_root()?)?;
        let alert_receiver = AlertReceiver::start()?;
        let cluster = database::start(&alert_receiver.url()).await?;
        let mut broker = Broker::start(folder.path(), &[]).await?;
        let destination =
            Destination { cluster: &cluster, database: database::DATABASE, role: database::BRIDGE_ROLE };
        let bridge = bridge::start(&mut broker, destination, folder.path()).await?;
        let options = generator_options(rate, seed);
        let generator = Generator::start(&mut broker, &options, folder.path()).await?;
        Ok(Self { generator, bridge, broker, cluster, alert_receiver, publishing: true, _folder: folder })
    }

    /// Fails if a piece has ended that should run, with the end of its log.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn ensure_running(&mut self) -> anyhow::Result<()> {
        self.check().context("a piece of the pipeline has ended by itself; start the demonstration again")
    }

    fn check(&mut self) -> anyhow::Result<()> {
        if self.publishing {
            self.generator.process().ensure_running()?;
        }
        self.bridge.ensure_running()?;
        self.broker.process().ensure_running()?;
        self.cluster.ensure_running()
    }

    /// Asks the generator to stop.
    ///
    /// # Errors
    /// If it has ended by itself.
    pub(crate) fn stop_publishing(&mut self) -> anyhow::Result<()> {
        self.publishing = false;
        self.generator.stop()
    }

    /// What the generator says at its end; `None` while it runs.
    ///
    /// # Errors
    /// If it has failed.
    pub(crate) fn published(&mut self) -> anyhow::Result<Option<Summary>> {
        self.generator.summary()
    }

    /// Stops all pieces, from the source to the database.
    ///
    /// # Errors
    /// If one does not end well.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let status = self.bridge.terminate(BRIDGE_PATIENCE)?;
        ensure!(status.success(), "the bridge has ended with {status}\n{}", self.bridge.log_tail());
        self.broker.stop()?;
        self.cluster.stop_server(StopMode::Fast)
    }

    /// The generator's process.
    pub(crate) fn generator(&mut self) -> &mut ManagedProcess {
        self.generator.process()
    }

    /// The bridge's process.
    pub(crate) fn bridge(&self) -> &ManagedProcess {
        &self.bridge
    }

    /// The broker.
    pub(crate) fn broker(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// The receiver of alerts.
    pub(crate) fn alert_receiver(&self) -> &AlertReceiver {
        &self.alert_receiver
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

fn generator_options(rate: Rate, seed: u64) -> Vec<String> {
    let own = ["--rate".to_owned(), rate.option().to_string(), "--seed".to_owned(), seed.to_string()];
    own.into_iter().chain(FAULTS.map(str::to_owned)).collect()
}
