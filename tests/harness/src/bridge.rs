//! The bridge between the loopback broker and a private cluster, as a process.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::broker::{Broker, QUEUE};
use crate::cluster::Cluster;
use crate::paths;
use crate::process::ManagedProcess;
use crate::wait::wait_until;

/// Longest that it may take to bind to its queue.
const BIND_PATIENCE: Duration = Duration::from_secs(60);

/// Where the bridge writes to, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The server.
    pub cluster: &'a Cluster,
    /// A database with the extension.
    pub database: &'a str,
    /// A role that may write to the inbox.
    pub role: &'a str,
}

/// Starts `cdc-bridge run` and waits until it is bound to its queue.
///
/// # Errors
/// If it does not start; the error ends with its log.
pub async fn start(
    broker: &mut Broker,
    destination: Destination<'_>,
    folder: &Path,
) -> anyhow::Result<ManagedProcess> {
    let mut bridge = ManagedProcess::start("bridge", run_command(broker, destination)?, folder)?;
    wait_until(BIND_PATIENCE, "the bridge binds to its queue", async || {
        bridge.ensure_running()?;
        Ok((broker.stats().await?.queue.flows > 0).then_some(()))
    })
    .await
    .with_context(|| format!("the bridge is not ready\n{}", bridge.log_tail()))?;
    Ok(bridge)
}

/// The bridge's program with the broker in its environment. Nothing else of the environment reaches it: settings of
/// the user's own bridge have no place here.
pub(crate) fn command(broker: &Broker) -> anyhow::Result<Command> {
    let mut command = Command::new(paths::bridge()?);
    command
        .env_clear()
        .env(paths::SOLCLIENT_VARIABLE, solclient()?)
        .env("SOLACE_HOST", broker.smf().ip().to_string())
        .env("SOLACE_PORT", broker.smf().port().to_string());
    Ok(command)
}

fn run_command(broker: &Broker, destination: Destination<'_>) -> anyhow::Result<Command> {
    let Destination { cluster, database, role } = destination;
    let mut command = command(broker)?;
    command
        .arg("run")
        .env("SOLACE_QUEUES", QUEUE)
        .env("POSTGRES_HOST", cluster.socket_dir())
        .env("POSTGRES_PORT", cluster.port().to_string())
        .env("POSTGRES_DB", database)
        .env("POSTGRES_USER", role);
    Ok(command)
}

/// Solace's C library, without which neither generator nor bridge reaches the broker.
///
/// # Errors
/// If it is not there.
pub fn solclient() -> anyhow::Result<PathBuf> {
    paths::solclient().with_context(|| {
        format!(
            "there is no libsolclient, Solace's C library: run `make setup`, or set {} to one for {} {}",
            paths::SOLCLIENT_VARIABLE,
            env::consts::OS,
            env::consts::ARCH
        )
    })
}
