//! The endpoints as the push worker uses them, and how much of each may be in the engine.

use std::collections::BTreeMap;

use cdc_push::Endpoint;
use pgrx::prelude::*;

use super::claims::Request;
use crate::outbox::Description;

/// Rows in the engine, of all endpoints together.
const MOST_ROWS: usize = 4_000;
/// Rows of one endpoint, whatever it takes at a time.
const MOST_ROWS_OF_ENDPOINT: usize = 1_000;
/// Bytes of documents in the engine, of all endpoints together; a larger document is there alone.
const MOST_BYTES: usize = 64 << 20;
/// Requests of an endpoint that the rows in the engine are good for, for each that it takes at a time: enough to claim
/// seldom, and few enough to be sent before the engine gives them back.
const REQUESTS_AHEAD: usize = 16;

/// Reads and describes the endpoints. One that cannot be described any more is left out with a warning.
pub(super) fn read() -> Vec<Endpoint> {
    let described = |description: Description| match description.to_endpoint() {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            warning!("nothing is sent to endpoint {}: {error}", description.name);
            None
        }
    };
    Description::read_all().into_iter().filter_map(described).collect()
}

/// How much of each endpoint is in the engine, and may be. Each has a share of its own, so that one that does not
/// answer takes no room from the others.
#[derive(Debug, Default)]
pub(super) struct Windows {
    of_endpoints: BTreeMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    most_rows: usize,
    most_bytes: usize,
    rows: usize,
    bytes: usize,
}

impl Windows {
    pub(super) fn of(endpoints: &[Endpoint]) -> Self {
        let share = endpoints.len().max(1);
        let window = |endpoint: &Endpoint| {
            let options = endpoint.options();
            let batch = options.batch.as_ref().map_or(1, cdc_push::BatchOptions::max_items);
            let rate = options.max_rate.map_or(usize::MAX, |rate| rate.get() as usize);
            let rows =
                options.concurrency.get().min(rate).saturating_mul(batch).saturating_mul(REQUESTS_AHEAD);
            let most_rows = rows.min(MOST_ROWS_OF_ENDPOINT).min(MOST_ROWS / share).max(1);
            (
                endpoint.name().to_owned(),
                Window { most_rows, most_bytes: MOST_BYTES / share, rows: 0, bytes: 0 },
            )
        };
        Self { of_endpoints: endpoints.iter().map(window).collect() }
    }

    /// Keeps the counts of endpoints that were there before.
    pub(super) fn carry_over(mut self, before: &Self) -> Self {
        for (name, window) in &mut self.of_endpoints {
            if let Some(before) = before.of_endpoints.get(name) {
                (window.rows, window.bytes) = (before.rows, before.bytes);
            }
        }
        self
    }

    pub(super) fn take(&mut self, endpoint: &str, bytes: usize) {
        if let Some(window) = self.of_endpoints.get_mut(endpoint) {
            window.rows += 1;
            window.bytes += bytes;
        }
    }

    pub(super) fn give_back(&mut self, endpoint: &str, bytes: usize) {
        if let Some(window) = self.of_endpoints.get_mut(endpoint) {
            window.rows = window.rows.saturating_sub(1);
            window.bytes = window.bytes.saturating_sub(bytes);
        }
    }

    /// What may be claimed for those that are `wanted`: nothing while a window is more than half full, so that claims
    /// are few.
    pub(super) fn requests(&self, wanted: impl Fn(&str) -> bool) -> Vec<Request> {
        let open = self.of_endpoints.iter().filter(|(name, window)| {
            window.rows <= window.most_rows / 2 && window.bytes <= window.most_bytes / 2 && wanted(name)
        });
        open.map(|(name, window)| Request {
            endpoint: name.clone(),
            rows: window.most_rows - window.rows,
            bytes: window.most_bytes - window.bytes,
        })
        .collect()
    }
}
