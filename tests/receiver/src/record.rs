//! What has come in, and waiting for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Version};
use serde_json::Value;

/// Most requests that are kept; then the oldest go. It bounds the memory of a receiver that runs for days.
pub const MOST_KEPT: usize = 100_000;

/// One request that was posted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its number; 1 for the first.
    pub number: u64,
    /// The connection it came by; 1 for the first.
    pub connection: u64,
    /// When it had come whole.
    pub received_at: Instant,
    /// The URL's path.
    pub path: String,
    /// The version of HTTP.
    pub version: Version,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The status that a client sees that waits for it. None while the request waits for its answer.
    pub answered: Option<u16>,
    /// Whether the answer says that it was taken.
    pub taken: bool,
}

impl Request {
    /// A header's value; none if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The event ids in the `Idempotency-Key` header: one, or for a batch those of its items in their order.
    pub fn event_ids(&self) -> Vec<&str> {
        let ids = self.header("idempotency-key").unwrap_or_default();
        ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect()
    }
}

/// Everything that has come in so far.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The requests posted, in the order in which they had come whole: the last [`MOST_KEPT`].
    pub requests: VecDeque<Request>,
    /// All requests ever posted.
    pub total: u64,
    /// How many got which status, by path.
    pub by_status: BTreeMap<(String, u16), u64>,
    /// Requests that wait for their answer.
    pub in_flight: usize,
    /// Most requests that have waited at the same time.
    pub most_in_flight: usize,
    /// Connections opened.
    pub connections: u64,
}

impl Observed {
    /// The requests that got an answer with 2xx.
    pub fn taken(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.taken)
    }

    fn find(&mut self, number: u64) -> Option<&mut Request> {
        let first = self.requests.front()?.number;
        self.requests.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}

/// What was waited for did not happen.
#[derive(Debug, thiserror::Error)]
#[error("not within {timeout:?}; there were {} requests, and {} wait for an answer", observed.total, observed.in_flight)]
pub struct NotWithin {
    /// How long was waited.
    pub timeout: Duration,
    /// What had come in by then.
    pub observed: Box<Observed>,
}

/// What has come in, with a bell that rings at each change.
#[derive(Debug, Default)]
pub(crate) struct Record {
    observed: Mutex<Observed>,
    changed: Condvar,
}

impl Record {
    pub(crate) fn connected(&self) -> u64 {
        self.change(|observed| {
            observed.connections += 1;
            observed.connections
        })
    }

    /// Notes a request, and gives it its number.
    pub(crate) fn arrived(&self, mut request: Request) -> Request {
        self.change(|observed| {
            observed.total += 1;
            observed.in_flight += 1;
            observed.most_in_flight = observed.most_in_flight.max(observed.in_flight);
            if observed.requests.len() == MOST_KEPT {
                observed.requests.pop_front();
            }
            request.number = observed.total;
            observed.requests.push_back(request.clone());
            request
        })
    }

    /// Notes how a request is answered.
    pub(crate) fn answered(&self, number: u64, status: u16, taken: bool) {
        self.change(|observed| {
            let Some(request) = observed.find(number) else { return };
            request.answered = Some(status);
            request.taken = taken;
            let path = request.path.clone();
            *observed.by_status.entry((path, status)).or_default() += 1;
        });
    }

    /// Notes that a request waits no more: it was answered, or its client is gone.
    pub(crate) fn over(&self) {
        self.change(|observed| observed.in_flight -= 1);
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Observed) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&Observed) -> bool,
    ) -> Result<Observed, NotWithin> {
        let waiting = |observed: &mut Observed| !condition(observed);
        let (observed, result) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            return Err(NotWithin { timeout, observed: Box::new(observed.clone()) });
        }
        Ok(observed.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Observed) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// A condition of a test may panic while it looks; it changes nothing.
    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
