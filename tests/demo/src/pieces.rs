//! The pieces of the pipeline: started one after the other, watched, and stopped in order.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::cluster::{Cluster, StopMode};
use harness::process::ManagedProcess;
use harness::{paths, wait_until};
use tempfile::TempDir;

use crate::alert_receiver::AlertReceiver;
use crate::broker::{Broker, QUEUE};
use crate::database;
use crate::generator::{Generator, Summary};
use crate::rate::Rate;

/// Longest that the bridge may take to bind to its queue.
const BIND_PATIENCE: Duration = Duration::from_secs(30);

/// Longest that the generator may take to log in.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);

/// Longest that the bridge may take to end; it ends itself after 30 s.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(40);

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
        let library = solclient()?;
        let folder = tempfile::Builder::new().prefix("demo-").tempdir_in(paths::run_root()?)?;
        let alert_receiver = AlertReceiver::start()?;
        let cluster = database::start(&alert_receiver.url()).await?;
        let mut broker = Broker::start(folder.path()).await?;
        let mut bridge =
            ManagedProcess::start("bridge", bridge_command(&library, &broker, &cluster)?, folder.path())?;
        wait_until(BIND_PATIENCE, "the bridge binds to its queue", async || {
            bridge.ensure_running()?;
            let flows = broker.stats().await?.queue.flows;
            Ok((flows > 0).then_some(()))
        })
        .await
        .with_context(|| format!("the bridge is not ready\n{}", bridge.log_tail()))?;
        let logins = broker.stats().await?.whole.logins;
        let mut generator = Generator::start(cdc_bridge(&library, &broker)?, rate, seed, folder.path())?;
        // From then on it ends in order when it is asked to.
        wait_until(LOGIN_PATIENCE, "the generator logs in", async || {
            generator.process().ensure_running()?;
            Ok((broker.stats().await?.whole.logins > logins).then_some(()))
        })
        .await
        .with_context(|| format!("the generator is not ready\n{}", generator.process().log_tail()))?;
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

/// Solace's C library, without which neither generator nor bridge reaches the broker.
fn solclient() -> anyhow::Result<PathBuf> {
    paths::solclient().with_context(|| {
        format!(
            "there is no libsolclient, Solace's C library: run `make setup`, or set {} to one for {} {}",
            paths::SOLCLIENT_VARIABLE,
            env::consts::OS,
            env::consts::ARCH
        )
    })
}

/// The bridge's program with the broker in its environment. Nothing else of the environment reaches it: settings of
/// the user's own bridge have no place here.
fn cdc_bridge(library: &Path, broker: &Broker) -> anyhow::Result<Command> {
    let mut command = Command::new(paths::program("cdc-bridge")?);
    command
        .env_clear()
        .env(paths::SOLCLIENT_VARIABLE, library)
        .env("SOLACE_HOST", broker.smf().ip().to_string())
        .env("SOLACE_PORT", broker.smf().port().to_string());
    Ok(command)
}

fn bridge_command(library: &Path, broker: &Broker, cluster: &Cluster) -> anyhow::Result<Command> {
    let mut command = cdc_bridge(library, broker)?;
    command
        .arg("run")
        .env("SOLACE_QUEUES", QUEUE)
        .env("POSTGRES_HOST", cluster.socket_dir())
        .env("POSTGRES_PORT", cluster.port().to_string())
        .env("POSTGRES_DB", database::DATABASE)
        .env("POSTGRES_USER", database::BRIDGE_ROLE);
    Ok(command)
}
