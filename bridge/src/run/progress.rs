//! What all workers together have done.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::solace::Held;

/// Counters that workers add to and a task logs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    messages: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
    /// Messages in batches that are not committed yet.
    writing: AtomicU64,
    /// Messages at the time of the last line.
    logged_messages: AtomicU64,
    /// What the flow of each queue holds.
    held: Mutex<HashMap<String, Arc<Held>>>,
}

/// Committed since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) messages: u64,
    /// Bytes of COPY data.
    pub(super) bytes: u64,
    pub(super) batches: u64,
}

impl Progress {
    /// A batch is about to be written.
    pub(super) fn writing(&self, messages: usize) {
        self.writing.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// A batch that was announced by [`writing`](Self::writing) is given up.
    pub(super) fn abandoned(&self, messages: usize) {
        self.writing.fetch_sub(messages as u64, Ordering::Relaxed);
    }

    /// A batch that was announced by [`writing`](Self::writing) is committed.
    pub(super) fn committed(&self, messages: usize, bytes: usize) {
        self.writing.fetch_sub(messages as u64, Ordering::Relaxed);
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// The queue has a new flow.
    pub(super) fn watch(&self, queue: &str, held: &Arc<Held>) {
        let mut flows = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        flows.insert(queue.to_owned(), Arc::clone(held));
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        }
    }

    /// Received and not yet committed.
    fn in_flight(&self) -> u64 {
        let flows = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = flows.values().map(|held| held.messages()).sum();
        held as u64 + self.writing.load(Ordering::Relaxed)
    }

    /// Logs the totals, and the rate since the last line.
    pub(super) fn log(&self, interval: Duration) {
        let totals = self.totals();
        let since = totals.messages - self.logged_messages.swap(totals.messages, Ordering::Relaxed);
        let per_second = (since as f64 / interval.as_secs_f64()).round() as u64;
        tracing::info!(
            messages = totals.messages,
            bytes = totals.bytes,
            batches = totals.batches,
            in_flight = self.in_flight(),
            per_second,
            "progress"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_committed_batches_count_and_the_others_are_in_flight() {
        let progress = Progress::default();
        progress.writing(10);
        progress.writing(5);
        progress.committed(10, 100);
        assert_eq!(progress.totals(), Totals { messages: 10, bytes: 100, batches: 1 });
        assert_eq!(progress.in_flight(), 5);
        progress.abandoned(5);
        assert_eq!(progress.in_flight(), 0);
    }
}
