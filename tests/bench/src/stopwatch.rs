//! Takes a reading: time, slowest batch, WAL, and memory of the session that works.

use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde::Serialize;

use crate::flow::FlowReading;
use crate::memory::PeakMemory;
use crate::server::Database;

/// What a measure found in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Reading {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// The longest batch, if batches were timed.
    pub(crate) slowest_batch_ms: Option<f64>,
    /// What all sessions wrote to the log.
    pub(crate) wal_bytes: Option<u64>,
    /// Peak of the working process, without shared memory.
    pub(crate) private_bytes: Option<u64>,
    /// What is known of the pieces beside the server, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<FlowReading>,
}

impl Reading {
    pub(crate) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    pub(crate) fn wal_bytes_per_event(&self) -> Option<f64> {
        Some(self.wal_bytes? as f64 / self.events as f64)
    }

    pub(crate) fn ms_per_event(&self) -> f64 {
        self.seconds * 1000.0 / self.events as f64
    }
}

/// Time since a start, batch by batch.
#[derive(Debug)]
struct Laps {
    started: Instant,
    lap_started: Instant,
    slowest: Option<Duration>,
}

impl Laps {
    fn start() -> Self {
        let now = Instant::now();
        Self { started: now, lap_started: now, slowest: None }
    }

    fn lap(&mut self) {
        let now = Instant::now();
        self.slowest = self.slowest.max(Some(now - self.lap_started));
        self.lap_started = now;
    }

    /// The reading so far.
    fn reading(&self, events: u64) -> Reading {
        let slowest = self.slowest.map(|slowest| slowest.as_secs_f64() * 1000.0);
        let seconds = self.started.elapsed().as_secs_f64();
        Reading { events, seconds, slowest_batch_ms: slowest, ..Reading::default() }
    }
}

/// Times work without a server.
pub(crate) fn timed(events: u64, work: impl FnOnce()) -> Reading {
    let laps = Laps::start();
    work();
    laps.reading(events)
}

/// Runs from [`Stopwatch::start`] to [`Stopwatch::stop`].
#[derive(Debug)]
pub(crate) struct Stopwatch {
    laps: Laps,
    wal_position: u64,
    memory: PeakMemory,
}

impl Stopwatch {
    /// Starts after a checkpoint, so that no measure pays for what another has left, and that each logs whole pages again
    /// when it first touches them. Watches the memory of the database's own session.
    pub(crate) async fn start(database: &Database) -> anyhow::Result<Self> {
        Self::start_watching(database, database.pid).await
    }

    /// As [`Stopwatch::start`]; another process does the work.
    pub(crate) async fn start_watching(database: &Database, pid: Pid) -> anyhow::Result<Self> {
        database.client.batch_execute("checkpoint").await?;
        let wal_position = database.wal_position().await?;
        Ok(Self { wal_position, memory: PeakMemory::watch(pid), laps: Laps::start() })
    }

    /// The end of a batch.
    pub(crate) fn lap(&mut self) {
        self.laps.lap();
    }

    pub(crate) async fn stop(self, database: &Database, events: u64) -> anyhow::Result<Reading> {
        let reading = self.laps.reading(events);
        let private_bytes = Some(self.memory.stop());
        let wal_bytes = Some(database.wal_position().await? - self.wal_position);
        Ok(Reading { private_bytes, wal_bytes, ..reading })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_event() {
        let reading = Reading { events: 200, seconds: 0.5, wal_bytes: Some(1000), ..Reading::default() };
        assert_eq!(reading.events_per_second(), 400.0);
        assert_eq!(reading.ms_per_event(), 2.5);
        assert_eq!(reading.wal_bytes_per_event(), Some(5.0));
    }

    #[test]
    fn the_longest_batch_is_known_if_there_were_batches() {
        let mut laps = Laps::start();
        assert_eq!(laps.reading(1).slowest_batch_ms, None);
        std::thread::sleep(Duration::from_millis(5));
        laps.lap();
        laps.lap();
        assert!(laps.reading(1).slowest_batch_ms.unwrap() >= 5.0);
    }
}
