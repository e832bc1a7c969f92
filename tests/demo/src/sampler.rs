//! Asks all pieces how they are, once in a while.

use std::time::{Duration, Instant};

use harness::broker::BrokerStats;
use harness::cluster::Cluster;
use harness::histogram::Histogram;
use harness::memory::private_bytes;
use harness::wait_until;
use nix::unistd::Pid;

use crate::alert_receiver::Received;
use crate::database::{Database, TableRows, Worker};
use crate::derived::Derived;
use crate::history::Counts;
use crate::pieces::Pieces;

/// Longest that a server may recover from the crash of a session.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(30);

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Since publishing began.
    pub(crate) at: Duration,
    pub(crate) counts: Counts,
    /// Messages in the broker's queue that are not committed yet.
    pub(crate) queued: u64,
    /// Age of the newest applied message while others wait; zero if none does.
    pub(crate) lag: Duration,
    /// Of all events so far.
    pub(crate) latency: Histogram,
    /// Estimates.
    pub(crate) rows: Vec<TableRows>,
    pub(crate) derived: Derived,
    /// Alerts at the receiver.
    pub(crate) received: Received,
    pub(crate) memory: Memory,
    pub(crate) worker: Worker,
    pub(crate) broker: BrokerStats,
}

impl Sample {
    /// Whether every alert that was ever made has come, and nothing is left to make one of.
    pub(crate) fn alerts_are_over(&self) -> bool {
        let outbox = self.derived.outbox;
        self.derived.to_enrich == 0 && outbox.waiting == 0 && outbox.delivered == self.received.alerts
    }
}

/// Bytes that processes have resident, shared memory apart; `None` for one that does not run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) generator: Option<u64>,
    pub(crate) broker: Option<u64>,
    pub(crate) bridge: Option<u64>,
    pub(crate) apply_worker: Option<u64>,
}

/// Takes samples.
pub(crate) struct Sampler {
    database: Database,
    started: Instant,
}

impl Sampler {
    /// Begins now.
    ///
    /// # Errors
    /// If the server refuses a session.
    pub(crate) async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self { database: Database::connect(cluster).await?, started: Instant::now() })
    }

    /// The session that it uses.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Asks all pieces. A server that recovers from the crash of a session is waited for.
    ///
    /// # Errors
    /// If a piece has ended or does not answer.
    pub(crate) async fn sample(&mut self, pieces: &mut Pieces) -> anyhow::Result<Sample> {
        pieces.ensure_running()?;
        let outcome = self.ask(pieces).await;
        if outcome.is_ok() || !self.database.is_closed() {
            return outcome;
        }
        let reconnected = wait_until(RECOVERY_PATIENCE, "the server takes connections again", async || {
            pieces.ensure_running()?;
            Ok(Database::connect(pieces.cluster()).await.ok())
        });
        self.database = reconnected.await?;
        self.ask(pieces).await
    }

    /// Messages that the broker has taken and that are not applied yet.
    ///
    /// # Errors
    /// If the broker or the server does not answer.
    pub(crate) async fn under_way(&self, pieces: &mut Pieces) -> anyhow::Result<u64> {
        let settled = self.database.progress().await?.settled;
        Ok(pieces.broker().stats().await?.whole.published.saturating_sub(settled))
    }

    /// The questions follow the flow backwards, so that no message seems to arrive before it left.
    async fn ask(&self, pieces: &mut Pieces) -> anyhow::Result<Sample> {
        let progress = self.database.progress().await?;
        let broker = pieces.broker().stats().await?;
        let worker = self.database.worker().await?;
        let counts = Counts {
            published: broker.whole.published,
            staged: broker.queue.acked,
            applied: progress.settled - progress.dead_lettered,
            dead_lettered: progress.dead_lettered,
        };
        Ok(Sample {
            at: self.started.elapsed(),
            counts,
            queued: broker.queue.depth,
            lag: if counts.pending() > 0 { progress.behind } else { Duration::ZERO },
            latency: self.database.latency().await?,
            rows: self.database.estimated_rows().await?,
            derived: self.database.derived().await?,
            received: pieces.alert_receiver().received(),
            memory: memory(pieces, &worker),
            worker,
            broker,
        })
    }
}

/// A process may end between two questions, so that what cannot be read is left out.
fn memory(pieces: &mut Pieces, worker: &Worker) -> Memory {
    let of = |pid: Pid| private_bytes(pid).ok();
    Memory {
        generator: of(pieces.generator().pid()),
        broker: of(pieces.broker().process().pid()),
        bridge: of(pieces.bridge().pid()),
        apply_worker: worker.pid.and_then(of),
    }
}
