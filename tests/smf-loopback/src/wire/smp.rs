//! SMP: topic subscriptions of clients and of queues.

use super::WireError;
use super::field::{length_at, text_of};
use super::frame::{Frame, FrameWriter, Header, Protocol, Tag};
use super::param::{Param, ParamKind};
use super::response::Response;

const TYPE_BITS: u8 = 0x7f;
const FLAG_RESPONSE_REQUIRED: u8 = 0x08;
const FLAGS_OFFSET: usize = 5;

/// What shall happen to the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put it in.
    Add,
    /// Take it out.
    Remove,
}

/// Who subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscriber<'a> {
    /// The client that sent the request, for direct messages.
    Client,
    /// A queue, by name.
    Queue(&'a str),
}

/// Whether the sender waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It does.
    Wanted,
    /// It does not, as when a client applies its subscriptions again after a reconnect.
    NotWanted,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Add or remove.
    pub action: Action,
    /// Whose subscription it is.
    pub subscriber: Subscriber<'a>,
    /// The subscription.
    pub topic: &'a str,
    /// Whether to answer.
    pub confirmation: Confirmation,
}

impl<'a> Request<'a> {
    /// Reads the body of an SMP frame.
    ///
    /// # Errors
    /// If it is cut short, not text, or of a type that is not known.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        const WHAT: &str = "an SMP body";
        let length = length_at(body, 1, WHAT)?;
        let body = body.get(..length).ok_or(WireError::Truncated(WHAT))?;
        let (flags, rest) = match body.get(FLAGS_OFFSET..) {
            Some([flags, rest @ ..]) => (*flags, rest),
            _ => return Err(WireError::Truncated(WHAT)),
        };
        let (action, for_queue) = match body[0] & TYPE_BITS {
            0 => (Action::Add, false),
            1 => (Action::Remove, false),
            2 => (Action::Add, true),
            3 => (Action::Remove, true),
            value => return Err(WireError::Unknown { what: "SMP message type", value }),
        };
        let (subscriber, topic) = if for_queue {
            let (queue, rest) = counted(rest)?;
            let (topic, _) = counted(rest)?;
            (Subscriber::Queue(text_of(queue, "a queue name")?), topic)
        } else {
            (Subscriber::Client, rest)
        };
        let confirmation =
            if flags & FLAG_RESPONSE_REQUIRED == 0 { Confirmation::NotWanted } else { Confirmation::Wanted };
        Ok(Self { action, subscriber, topic: text_of(topic, "a subscription")?, confirmation })
    }
}

/// Takes a value that stands behind one byte of length.
fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (count, rest) = bytes.split_first().ok_or(WireError::Truncated("an SMP name"))?;
    rest.split_at_checked(usize::from(*count)).ok_or(WireError::Truncated("an SMP name"))
}

/// Appends the answer to a request: its tag, the response, and the request's body again.
pub fn write_answer(out: &mut Vec<u8>, request: &Frame, response: &Response) {
    let mut frame = FrameWriter::begin(out, Header::from_broker(Protocol::Smp));
    if let Some(Tag(tag)) = request.tag() {
        frame.param(Param::new(ParamKind::CORRELATION_TAG, &tag));
    }
    frame.param(Param::new(ParamKind::RESPONSE, &response.to_value()));
    frame.finish(|out| out.extend_from_slice(request.body()));
}
