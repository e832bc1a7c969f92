//! What was seen of generator, broker and bridge while they fed the server: their memory and work, how messages queued,
//! and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use harness::histogram::Histogram;
use harness::processor_time;
use nix::unistd::Pid;
use serde::Serialize;

use crate::memory::PeakMemory;

/// What a measure found beside the figures of the server.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct FlowReading {
    /// From the sending of a message to the commit of what it changed, if messages were sent at a rate.
    pub(crate) latency: Option<Latency>,
    /// Messages a second that the generator sent, if it was at work.
    pub(crate) sent_per_second: Option<f64>,
    /// Most messages that were in the broker's queue.
    pub(crate) deepest_queue: u64,
    /// Most messages that were in the inbox, if messages were sent at a rate.
    pub(crate) deepest_inbox: Option<u64>,
    /// Time from the last message sent until all were applied, if they were sent at a rate.
    pub(crate) drain_seconds: Option<f64>,
    pub(crate) processes: BTreeMap<&'static str, ProcessReading>,
}

/// Milliseconds, as upper bounds of buckets that are a fifth wide.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    /// `None` without events.
    pub(crate) fn of(histogram: &Histogram) -> Option<Self> {
        let [p50_ms, p99_ms, max_ms] = [0.5, 0.99, 1.0].map(|share| histogram.percentile(share));
        Some(Self { p50_ms: p50_ms?, p99_ms: p99_ms?, max_ms: max_ms? })
    }
}

/// A process during a measure.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct ProcessReading {
    pub(crate) processor_seconds: f64,
    /// Peak without shared memory.
    pub(crate) private_bytes: u64,
}

/// Watches a process from [`Watched::start`] to [`Watched::stop`], at which it must still be there.
#[derive(Debug)]
pub(crate) struct Watched {
    pid: Pid,
    time_before: Duration,
    memory: PeakMemory,
}

impl Watched {
    pub(crate) fn start(pid: Pid) -> anyhow::Result<Self> {
        Ok(Self { pid, time_before: processor_time(pid)?, memory: PeakMemory::watch(pid) })
    }

    pub(crate) fn stop(self) -> anyhow::Result<ProcessReading> {
        let time = processor_time(self.pid)? - self.time_before;
        Ok(ProcessReading { processor_seconds: time.as_secs_f64(), private_bytes: self.memory.stop() })
    }
}

/// Watches several processes, each from its [`Watch::add`] to [`Watch::stop`].
#[derive(Debug, Default)]
pub(crate) struct Watch {
    processes: Vec<(&'static str, Watched)>,
}

impl Watch {
    pub(crate) fn add(&mut self, name: &'static str, pid: Pid) -> anyhow::Result<()> {
        self.processes.push((name, Watched::start(pid).context(name)?));
        Ok(())
    }

    pub(crate) fn stop(self) -> anyhow::Result<BTreeMap<&'static str, ProcessReading>> {
        let readings = self.processes.into_iter();
        readings.map(|(name, watched)| Ok((name, watched.stop().context(name)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_watched_under_its_name() {
        let mut watch = Watch::default();
        watch.add("this", Pid::this()).unwrap();
        assert!(watch.add("none", Pid::from_raw(i32::MAX)).is_err());
        assert!(watch.stop().unwrap()["this"].private_bytes > 0);
    }
}
