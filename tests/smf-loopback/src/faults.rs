//! The faults that a test can ask for.

use crate::broker::{Broker, Clients, Ending};
use crate::config::Quota;
use crate::wire::response::Response;

/// Faults that last until they are taken back.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) publish_acks_held: bool,
    pub(crate) publish_refusal: Option<Response>,
    pub(crate) login_refusal: Option<Response>,
    pub(crate) keep_alives_silenced: bool,
}

/// A hook was asked to do something to a queue that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue {0:?}")]
pub struct UnknownQueue(pub String);

impl Broker {
    /// Closes all connections after sending what was already decided. Returns how many there were.
    pub fn drop_connections(&self) -> usize {
        self.change(|state| state.drop_connections(Clients::All, Ending::Flushed))
    }

    /// Closes the connections of the clients with this name. Returns how many there were.
    pub fn drop_client(&self, client_name: &str) -> usize {
        self.change(|state| state.drop_connections(Clients::Named(client_name), Ending::Flushed))
    }

    /// Does what a broker's crash and restart does: all connections end at once, what was on its way to
    /// clients is lost, unacknowledged messages are in their queues again. Messages, queues and
    /// publisher flows survive, as they do on a broker's disk. Returns how many connections there were.
    pub fn crash(&self) -> usize {
        self.change(|state| state.drop_connections(Clients::All, Ending::Abrupt))
    }

    /// As [`crash`](Self::crash), but the broker also forgets the publisher flows: publishers are
    /// refused when they resume them, open new ones and publish again what was not acknowledged.
    pub fn forget_publisher_flows(&self) -> usize {
        self.change(|state| {
            state.forget_publisher_flows();
            state.drop_connections(Clients::All, Ending::Abrupt)
        })
    }

    /// Takes publishes but keeps the acknowledgements back.
    pub fn hold_publish_acks(&self) {
        self.change(|state| state.faults.publish_acks_held = true);
    }

    /// Sends the acknowledgements that were held back, and all later ones at once.
    pub fn release_publish_acks(&self) {
        self.change(|state| {
            state.faults.publish_acks_held = false;
            state.release_publish_acks();
        });
    }

    /// Refuses every publish with this code and text, such as 503 "Spool Over Quota".
    pub fn refuse_publishes(&self, code: u32, text: &str) {
        let refusal = Some(Response::new(code, text));
        self.change(|state| state.faults.publish_refusal = refusal);
    }

    /// Takes publishes again.
    pub fn accept_publishes(&self) {
        self.change(|state| state.faults.publish_refusal = None);
    }

    /// Refuses every login with this code and text, such as 503 "Too Many Clients".
    pub fn refuse_logins(&self, code: u32, text: &str) {
        let refusal = Some(Response::new(code, text));
        self.change(|state| state.faults.login_refusal = refusal);
    }

    /// Takes logins again, as far as the configuration allows them.
    pub fn accept_logins(&self) {
        self.change(|state| state.faults.login_refusal = None);
    }

    /// Leaves keep-alives unanswered: clients give up an otherwise idle connection after three.
    pub fn silence_keep_alives(&self) {
        self.change(|state| state.faults.keep_alives_silenced = true);
    }

    /// Answers keep-alives again.
    pub fn answer_keep_alives(&self) {
        self.change(|state| state.faults.keep_alives_silenced = false);
    }

    /// Ends all flows of a queue from the broker's side, such as with 503 "Queue Shutdown". The queue
    /// stays and can be bound again. Returns how many flows there were.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn unbind_flows(&self, queue: &str, code: u32, text: &str) -> Result<usize, UnknownQueue> {
        let reason = Response::new(code, text);
        self.change(|state| state.unbind_queue(queue, &reason)).ok_or_else(|| UnknownQueue(queue.to_owned()))
    }

    /// Changes what a queue may hold. Messages in it stay; [`Quota::FULL`] makes it full at once.
    ///
    /// # Errors
    /// If there is no such queue.
    pub fn set_queue_quota(&self, queue: &str, quota: Quota) -> Result<(), UnknownQueue> {
        self.change(|state| state.queue_mut(queue).map(|queue| queue.quota = quota))
            .ok_or_else(|| UnknownQueue(queue.to_owned()))
    }
}
