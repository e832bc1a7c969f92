//! What an endpoint looks like from outside.

use std::time::Instant;

use crate::breaker::BreakerState;

/// One endpoint at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// Requests that failed since the last answer.
    pub failures_in_a_row: u32,
    /// Until then nothing is sent: the breaker is open, or the endpoint asked for a pause. What is submitted is given
    /// back, so it is better not to claim anything for it.
    pub refuses_until: Option<Instant>,
    /// Deliveries that wait for their turn.
    pub waiting: usize,
    /// Requests under way.
    pub in_flight: usize,
}
