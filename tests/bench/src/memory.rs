//! The peak of a process's memory, sampled: the kernel keeps none that leaves shared memory out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use harness::memory::private_bytes;
use nix::unistd::Pid;

/// Time between two looks: short against a batch, and rare enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(10);

/// Watches a process from [`PeakMemory::watch`] to [`PeakMemory::stop`].
#[derive(Debug)]
pub(crate) struct PeakMemory {
    is_over: Arc<AtomicBool>,
    watcher: JoinHandle<u64>,
}

impl PeakMemory {
    pub(crate) fn watch(pid: Pid) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let watcher = thread::spawn(move || {
            let mut peak = 0;
            loop {
                // A process that is gone has no memory.
                peak = peak.max(private_bytes(pid).unwrap_or_default());
                if over.load(Ordering::Relaxed) {
                    return peak;
                }
                thread::park_timeout(INTERVAL);
            }
        });
        Self { is_over, watcher }
    }

    /// The most that was seen, in bytes.
    pub(crate) fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.watcher.thread().unpark();
        self.watcher.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_seen_and_that_of_none_is_zero() {
        assert!(PeakMemory::watch(Pid::this()).stop() > 0);
        assert_eq!(PeakMemory::watch(Pid::from_raw(i32::MAX)).stop(), 0);
    }
}
