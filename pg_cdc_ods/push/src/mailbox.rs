//! The way from the engine's thread back to its owner.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delivery::Outcome;
use crate::status::EndpointStatus;

/// Called on the engine's thread when there is something to fetch.
type Wakeup = Box<dyn Fn() + Send + Sync>;

/// Outcomes that wait for the owner, and the latest state of the endpoints. It holds no more outcomes than the engine
/// holds deliveries.
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
    wakeup: Wakeup,
}

#[derive(Default)]
struct Contents {
    outcomes: Vec<Outcome>,
    statuses: Vec<EndpointStatus>,
    engine_ended: bool,
}

impl Mailbox {
    pub(crate) fn new(wakeup: Wakeup) -> Self {
        Self { contents: Mutex::default(), wakeup }
    }

    /// Shows the endpoints' state, and then the outcomes that led to it.
    pub(crate) fn put(&self, outcomes: &mut Vec<Outcome>, statuses: Vec<EndpointStatus>) {
        let wakes = !outcomes.is_empty();
        {
            let mut contents = self.lock();
            contents.statuses = statuses;
            contents.outcomes.append(outcomes);
        }
        if wakes {
            (self.wakeup)();
        }
    }

    /// Says that nothing will come any more.
    pub(crate) fn close(&self) {
        self.lock().engine_ended = true;
        (self.wakeup)();
    }

    /// Takes the outcomes, and says whether the engine has ended.
    pub(crate) fn take(&self) -> (Vec<Outcome>, bool) {
        let mut contents = self.lock();
        (mem::take(&mut contents.outcomes), contents.engine_ended)
    }

    pub(crate) fn statuses(&self) -> Vec<EndpointStatus> {
        self.lock().statuses.clone()
    }

    /// Nothing panics while it holds the lock, so what it guards is whole.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
