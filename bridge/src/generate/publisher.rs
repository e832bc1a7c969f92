//! What the generator needs of a broker.

use std::error::Error;
use std::future::Future;

use bytes::Bytes;

/// A guaranteed message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Where it is published.
    pub topic: &'a str,
    /// The body, as it goes on the wire.
    pub payload: Bytes,
    /// The application message id; the copies of a duplicate have the same.
    pub message_id: &'a str,
}

/// What the broker has said to messages so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// Messages that it has taken over.
    pub acked: u64,
    /// Messages that it has refused.
    pub rejected: u64,
}

/// Publishes guaranteed messages and counts the answers.
pub trait GuaranteedPublisher {
    /// Why a message could not be published at all.
    type Error: Error + Send + Sync + 'static;

    /// Hands a message over; waits while too many are unanswered. Does not wait for the answer.
    fn publish(&mut self, message: Message<'_>) -> impl Future<Output = Result<(), Self::Error>>;

    /// The answers since the publisher was made.
    fn answers(&self) -> Answers;

    /// Waits until every message handed over has its answer.
    fn all_answered(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
}
