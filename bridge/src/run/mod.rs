//! `cdc-bridge run`: empties queues into the inbox.
//!
//! ```text
//! library's thread ──channel──► intake ──► batch ──COPY──► PostgreSQL
//!                                  ▲                           │ committed
//!                                  └── flow stopped/started    └──► acks
//! ```
//!
//! Each queue has a worker of its own with a session, a flow and a database connection, so that one that is stuck
//! does not hold up the others. A worker acknowledges a message only after the transaction with its row is
//! committed; until then the broker keeps it.

mod batch;
mod broker;
mod progress;
mod valve;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::shutdown::Shutdown;
use crate::solace::{self, Library};
use progress::Progress;
use worker::QueueWorker;

/// How often a line of progress is logged.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Why the bridge cannot run at all. What may pass, such as a server that is down, is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration lacks something.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// libsolclient cannot be used.
    #[error(transparent)]
    Library(#[from] solace::Error),
    /// A worker panicked: an error of the bridge itself. What it had not committed is delivered again.
    #[error("a worker failed; please report this")]
    Worker(#[from] tokio::task::JoinError),
}

/// Empties the configured queues until `shutdown` is requested, then finishes the batches under way.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    let queues = config.queues()?.to_owned();
    let library = Library::load(config.solace.library.as_deref())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        libsolclient = library.version(),
        hosts = config.solace.session.hosts,
        ?queues,
        "starting"
    );
    let config = Arc::new(config);
    let progress = Arc::new(Progress::default());
    let (bound, first_binds) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    for queue in &queues {
        let worker = QueueWorker::new(
            library,
            Arc::clone(&config),
            queue,
            shutdown.clone(),
            Arc::clone(&progress),
            bound.clone(),
        );
        workers.spawn(worker.run());
    }
    drop(bound);
    let reports = tokio::spawn(report(Arc::clone(&progress), first_binds, queues.len()));
    let mut outcome = Ok(());
    while let Some(ended) = workers.join_next().await {
        outcome = outcome.and(ended.map_err(RunError::from));
    }
    reports.abort();
    let totals = progress.totals();
    tracing::info!(messages = totals.messages, bytes = totals.bytes, batches = totals.batches, "stopped");
    outcome
}

/// Logs once that all queues are served, and then how far things are.
async fn report(progress: Arc<Progress>, mut first_binds: mpsc::UnboundedReceiver<()>, queues: usize) {
    let mut interval = tokio::time::interval(PROGRESS_INTERVAL);
    interval.tick().await;
    let mut bound = 0;
    loop {
        tokio::select! {
            Some(()) = first_binds.recv() => {
                bound += 1;
                if bound == queues {
                    tracing::info!(queues, "ready");
                }
            }
            _ = interval.tick() => progress.log(PROGRESS_INTERVAL),
        }
    }
}
