//! Guaranteed publishing: each message is answered by the broker, and only so many may be unanswered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::error::Error;
use super::ffi::return_code;
use super::library::Library;
use super::outbound::{OutboundMessage, RawMessage};
use super::session::{PUBLISH_WINDOW, Session, SessionEvent, SessionOptions};

/// A send that the library could not take is tried again after this long, should its event get lost.
const SEND_RETRY: Duration = Duration::from_secs(1);

/// What becomes of messages that the broker refuses, such as for a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRejection {
    /// They are counted and forgotten.
    Count,
    /// They are counted and kept for [`Publisher::republish_rejected`]. They fill the window, so publishing waits
    /// when it is full of them.
    Keep,
}

/// How many messages were answered, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishAnswers {
    /// The broker has them safe.
    pub acknowledged: u64,
    /// The broker refused them.
    pub rejected: u64,
}

/// A message that the broker refused.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedMessage {
    /// The message.
    pub message: OutboundMessage,
    /// Why, in the broker's words.
    pub reason: String,
}

/// Publishes guaranteed messages in a session of its own.
///
/// While the connection is lost the library keeps what is unanswered and sends it again after reconnecting; a
/// message may then reach its queues twice.
pub struct Publisher {
    session: Session,
    shared: Arc<Shared>,
    on_rejection: OnRejection,
    next_tag: u64,
}

/// What the library's thread and the publisher share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told of each answer and each change of the session.
    changed: Notify,
}

#[derive(Default)]
struct State {
    unanswered: VecDeque<Unanswered>,
    rejected: Vec<RejectedMessage>,
    answers: PublishAnswers,
    down: Option<String>,
}

struct Unanswered {
    tag: u64,
    /// Kept only for a publisher that keeps rejected messages.
    message: Option<OutboundMessage>,
}

impl Publisher {
    /// Connects and logs in; waits for the broker, at most 10 s for each host.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker cannot be reached or refuses the login.
    pub fn connect(
        library: Library,
        options: &SessionOptions,
        on_rejection: OnRejection,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let on_event = Arc::clone(&shared);
        let session = Session::connect(library, options, move |event| on_event.handle(event))?;
        Ok(Self { session, shared, on_rejection, next_tag: 1 })
    }

    /// Hands a message to the broker. Waits while the window of unanswered messages is full or the connection takes
    /// no more, and not for the answer. Safe to cancel: the message is then not sent.
    ///
    /// # Errors
    /// [`Error::SessionDown`] if the session is down for good; others if the message cannot be built or sent.
    pub async fn publish(&mut self, message: OutboundMessage) -> Result<(), Error> {
        let tag = self.next_tag;
        self.next_tag += 1;
        let raw = RawMessage::build(self.session.library(), &message, tag)?;
        let mut kept = (self.on_rejection == OnRejection::Keep).then_some(message);
        loop {
            let full = {
                let state = self.shared.lock()?;
                state.unanswered.len() + state.rejected.len() >= PUBLISH_WINDOW
            };
            if !full {
                match self.send(&raw, tag, kept)? {
                    Sent::Yes => return Ok(()),
                    Sent::NotNow(message) => kept = message,
                }
            }
            // A retry after a while costs little and makes a lost event harmless.
            let _ = timeout(SEND_RETRY, self.shared.changed.notified()).await;
        }
    }

    /// Tries once. The entry among the unanswered comes first, since the answer may come before the call returns.
    fn send(&self, raw: &RawMessage, tag: u64, message: Option<OutboundMessage>) -> Result<Sent, Error> {
        self.shared.lock()?.unanswered.push_back(Unanswered { tag, message });
        let library = self.session.library();
        // SAFETY: a living session and a living message, which the library copies.
        let code = unsafe { (library.api().session_send_msg)(self.session.handle(), raw.handle()) };
        if code == return_code::OK {
            return Ok(Sent::Yes);
        }
        let message = self.shared.lock()?.remove(tag).and_then(|unanswered| unanswered.message);
        match code {
            return_code::WOULD_BLOCK | return_code::NOT_READY => Ok(Sent::NotNow(message)),
            _ => Err(Error::last(&library, "publishing a message", code)),
        }
    }

    /// Waits until each published message has its answer. Safe to cancel.
    ///
    /// # Errors
    /// [`Error::SessionDown`] if that cannot happen.
    pub async fn all_answered(&mut self) -> Result<(), Error> {
        while !self.shared.lock()?.unanswered.is_empty() {
            self.shared.changed.notified().await;
        }
        Ok(())
    }

    /// Waits until each published message has its answer, but no longer than `patience`.
    ///
    /// # Errors
    /// [`Error::Unanswered`] if that takes longer, [`Error::SessionDown`] if it cannot happen.
    pub async fn flush(&mut self, patience: Duration) -> Result<(), Error> {
        match timeout(patience, self.all_answered()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let messages = self.shared.lock_anyway().unanswered.len();
                Err(Error::Unanswered { messages, waited: patience })
            }
        }
    }

    /// The answers since the publisher was made.
    pub fn answers(&self) -> PublishAnswers {
        self.shared.lock_anyway().answers
    }

    /// The rejected messages that are kept, oldest first.
    pub fn take_rejected(&mut self) -> Vec<RejectedMessage> {
        std::mem::take(&mut self.shared.lock_anyway().rejected)
    }

    /// Publishes the rejected messages that are kept once more, oldest first. Returns how many there were.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn republish_rejected(&mut self) -> Result<usize, Error> {
        let rejected = self.take_rejected();
        let count = rejected.len();
        for RejectedMessage { message, .. } in rejected {
            self.publish(message).await?;
        }
        Ok(count)
    }
}

enum Sent {
    Yes,
    /// The library takes no more at the moment.
    NotNow(Option<OutboundMessage>),
}

impl Shared {
    /// Runs on the library's thread.
    fn handle(&self, event: SessionEvent) {
        {
            let mut state = self.lock_anyway();
            match event {
                SessionEvent::Acknowledged { tag } if state.remove(tag).is_some() => {
                    state.answers.acknowledged += 1;
                }
                SessionEvent::Rejected { tag, text } => {
                    if let Some(unanswered) = state.remove(tag) {
                        state.answers.rejected += 1;
                        let rejected =
                            unanswered.message.map(|message| RejectedMessage { message, reason: text });
                        state.rejected.extend(rejected);
                    }
                }
                SessionEvent::Down { text } => state.down = Some(text),
                SessionEvent::Reconnecting { text } => {
                    tracing::warn!(reason = text, "publisher reconnecting");
                }
                SessionEvent::Reconnected => tracing::info!("publisher reconnected"),
                SessionEvent::Acknowledged { .. } | SessionEvent::Up | SessionEvent::CanSend => (),
            }
        }
        self.changed.notify_one();
    }

    fn lock_anyway(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the session is down.
    fn lock(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock_anyway();
        match &state.down {
            Some(text) => Err(Error::SessionDown { text: text.clone() }),
            None => Ok(state),
        }
    }
}

impl State {
    /// Answers come nearly in order, so the search mostly ends at the first entry.
    fn remove(&mut self, tag: u64) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|unanswered| unanswered.tag == tag)?;
        self.unanswered.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_with_unanswered(tags: impl IntoIterator<Item = u64>) -> Shared {
        let shared = Shared::default();
        let message = Some(OutboundMessage { topic: "t".to_owned(), ..OutboundMessage::default() });
        let unanswered = tags.into_iter().map(|tag| Unanswered { tag, message: message.clone() });
        shared.lock_anyway().unanswered.extend(unanswered);
        shared
    }

    #[test]
    fn answers_are_counted_once_for_each_message() {
        let shared = shared_with_unanswered(1..=3);
        shared.handle(SessionEvent::Acknowledged { tag: 2 });
        shared.handle(SessionEvent::Acknowledged { tag: 2 });
        shared.handle(SessionEvent::Rejected { tag: 1, text: "Spool Over Quota".to_owned() });
        let state = shared.lock_anyway();
        assert_eq!(state.answers, PublishAnswers { acknowledged: 1, rejected: 1 });
        assert_eq!(state.unanswered.len(), 1);
        assert_eq!(state.rejected[0].reason, "Spool Over Quota");
    }

    #[test]
    fn a_session_that_is_down_is_an_error_for_all_later_calls() {
        let shared = shared_with_unanswered([]);
        shared.handle(SessionEvent::Down { text: "gone".to_owned() });
        assert_eq!(shared.lock().err().unwrap().to_string(), "the session is down: gone");
    }
}
