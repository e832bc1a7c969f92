//! Back-pressure: stops a flow that brings more than can be written, and starts it again.

use crate::solace::{Flow, Held, HeldLimits};

/// What a flow may pile up while a batch is being written. With the batch itself, the library's buffers and the
/// program this keeps a bridge of one queue below 64 MB.
pub(super) const HELD_LIMITS: HeldLimits = HeldLimits { messages: 5_000, bytes: 8 * 1024 * 1024 };

/// A stopped flow starts again when it holds no more than this part of the limits, so that it is not stopped and
/// started for each message.
const RESUME_DIVISOR: usize = 2;

/// Remembers whether a flow is stopped. A new flow is open.
#[derive(Debug, Default)]
pub(super) struct Valve {
    closed: bool,
}

impl Valve {
    /// Stops the flow, once.
    pub(super) fn close(&mut self, flow: &Flow) {
        if !self.closed {
            self.closed = true;
            tracing::debug!(held = flow.held().messages(), bytes = flow.held().bytes(), "flow stopped");
            // A flow that cannot be stopped is down and brings nothing either; its event follows.
            let _ = flow.stop();
        }
    }

    /// Starts the flow again if little enough is left of what it holds.
    pub(super) fn reopen_if_drained(&mut self, flow: &Flow) {
        if self.closed && drained(flow.held()) {
            self.closed = false;
            tracing::debug!("flow started");
            // As above.
            let _ = flow.start();
        }
    }
}

fn drained(held: &Held) -> bool {
    held.messages() <= HELD_LIMITS.messages / RESUME_DIVISOR
        && held.bytes() <= HELD_LIMITS.bytes / RESUME_DIVISOR
}
