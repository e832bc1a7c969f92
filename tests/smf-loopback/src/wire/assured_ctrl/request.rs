//! What clients ask for: the fields of an AssuredCtrl body, with their meaning.

use super::{AssuredCtrl, BodyWriter, MessageKind, field};
use crate::wire::WireError;
use crate::wire::field::{text_of, u8_of, u32_of, u64_of};

/// An endpoint by kind and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// A queue.
    Queue(&'a str),
    /// A topic endpoint.
    TopicEndpoint(&'a str),
}

impl Endpoint<'_> {
    /// The field that names this endpoint in an answer.
    pub fn write(&self, body: &mut BodyWriter<'_>) {
        match self {
            Self::Queue(name) => body.text(field::QUEUE_NAME, name),
            Self::TopicEndpoint(name) => body.text(field::TOPIC_ENDPOINT_NAME, name),
        };
    }
}

/// Whether an endpoint outlives its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does.
    Durable,
    /// It goes with its client.
    Temporary,
}

/// How several flows share an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessType {
    /// One flow gets all messages.
    Exclusive,
    /// All flows get some.
    NonExclusive,
}

/// What the application made of the messages of an ack range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done with: forget them.
    Accepted,
    /// Not now: deliver them again.
    Failed,
    /// Never: forget them.
    Rejected,
}

/// Message ids of a flow, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckRange {
    /// Lowest id.
    pub first: u64,
    /// Highest id.
    pub last: u64,
    /// What becomes of them.
    pub outcome: Outcome,
}

impl AckRange {
    fn parse(value: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "an ack range";
        let (first, rest) = value.split_at_checked(8).ok_or(WireError::Truncated(WHAT))?;
        let (last, outcome) = rest.split_at_checked(8).ok_or(WireError::Truncated(WHAT))?;
        let outcome = match outcome {
            [] => Outcome::Accepted,
            [1] => Outcome::Failed,
            [3] => Outcome::Rejected,
            _ => return Err(unknown("ack outcome", outcome)),
        };
        Ok(Self { first: u64_of(first, WHAT)?, last: u64_of(last, WHAT)?, outcome })
    }
}

/// A wish to consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// From where.
    pub endpoint: Endpoint<'a>,
    /// A temporary endpoint is made by its bind.
    pub durability: Durability,
    /// Most messages under way.
    pub window: u8,
    /// Whether the client wants to hear when the flow becomes active or inactive.
    pub flow_changes: FlowChanges,
    /// Options that make it more than a plain consumer.
    pub special: Option<SpecialFlow>,
}

/// Whether a client hears of its flow becoming active or inactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowChanges {
    /// It asked to.
    Reported,
    /// It did not.
    NotReported,
}

/// Consumer flows that do more than consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialFlow {
    /// Looks and leaves the messages in the queue.
    Browser,
    /// Gets only messages that meet a condition.
    Selector,
    /// Gets messages of the past again.
    Replay,
}

const FLOW_TYPE_BROWSER: u8 = 2;

/// What a client asks for in an AssuredCtrl frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// Opens a publisher flow.
    OpenPublisherFlow {
        /// Name of the flow to resume; empty for a new one.
        name: &'a str,
        /// Most messages not acknowledged.
        window: u8,
    },
    /// Acknowledges deliveries, and changes the window.
    Ack {
        /// Which flow.
        flow: u32,
        /// Highest message id received.
        received: u64,
        /// New window.
        window: u8,
        /// What the application is done with.
        ranges: Vec<AckRange>,
    },
    /// Binds a consumer flow.
    Bind(Bind<'a>),
    /// Ends a consumer flow.
    Unbind {
        /// Which flow.
        flow: u32,
    },
    /// Ends a publisher flow.
    ClosePublisherFlow {
        /// Which flow.
        flow: u32,
    },
    /// Creates an endpoint.
    CreateEndpoint {
        /// Its kind and name.
        endpoint: Endpoint<'a>,
        /// How flows share it; exclusive if not given.
        access: Option<AccessType>,
        /// How much it may hold, in MB.
        quota_mb: Option<u32>,
        /// Largest message in bytes.
        max_message_bytes: Option<u32>,
    },
    /// Deletes an endpoint.
    DeleteEndpoint {
        /// Its kind and name.
        endpoint: Endpoint<'a>,
    },
    /// Answers a flow change update; nothing has to be done.
    FlowChangeAnswer,
}

impl<'a> Request<'a> {
    /// Reads the body of an AssuredCtrl frame.
    ///
    /// # Errors
    /// If it is malformed, or a field that the request needs is missing or out of range.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let message = AssuredCtrl::parse(body)?;
        Ok(match message.kind {
            MessageKind::OpenPublisherFlow => Self::OpenPublisherFlow {
                name: text_of(message.value(field::PUBLISHER_FLOW_NAME).unwrap_or_default(), "a flow name")?,
                window: message.window()?,
            },
            MessageKind::Ack => Self::Ack {
                flow: message.flow_id()?,
                received: u64_of(message.required(field::LAST_ACKED, "a last acked id")?, "a message id")?,
                window: message.window()?,
                ranges: message
                    .fields()
                    .filter(|field| field.number == field::ACK_RANGE)
                    .map(|field| AckRange::parse(field.value))
                    .collect::<Result<_, _>>()?,
            },
            MessageKind::Bind => Self::Bind(parse_bind(&message)?),
            MessageKind::Unbind => Self::Unbind { flow: message.flow_id()? },
            MessageKind::ClosePublisherFlow => Self::ClosePublisherFlow { flow: message.flow_id()? },
            MessageKind::CreateEndpoint => Self::CreateEndpoint {
                endpoint: message.endpoint()?,
                access: message.access()?,
                quota_mb: message.value(field::QUOTA_MB).map(|value| u32_of(value, "a quota")).transpose()?,
                max_message_bytes: message
                    .value(field::MAX_MESSAGE_BYTES)
                    .map(|value| u32_of(value, "a message size"))
                    .transpose()?,
            },
            MessageKind::DeleteEndpoint => Self::DeleteEndpoint { endpoint: message.endpoint()? },
            MessageKind::FlowChangeUpdate => Self::FlowChangeAnswer,
        })
    }
}

fn parse_bind<'a>(message: &AssuredCtrl<'a>) -> Result<Bind<'a>, WireError> {
    let special = if message.value(field::FLOW_TYPE) == Some(&[FLOW_TYPE_BROWSER]) {
        Some(SpecialFlow::Browser)
    } else if message.value(field::SELECTOR).is_some() {
        Some(SpecialFlow::Selector)
    } else {
        message.value(field::REPLAY_START).map(|_| SpecialFlow::Replay)
    };
    let flow_changes = match message.value(field::WANTS_FLOW_CHANGES) {
        Some([1]) => FlowChanges::Reported,
        _ => FlowChanges::NotReported,
    };
    Ok(Bind {
        endpoint: message.endpoint()?,
        durability: message.durability()?,
        window: message.window()?,
        flow_changes,
        special,
    })
}

/// Fields that several requests have.
impl<'a> AssuredCtrl<'a> {
    fn value(&self, number: u8) -> Option<&'a [u8]> {
        self.fields().find(|field| field.number == number).map(|field| field.value)
    }

    fn required(&self, number: u8, what: &'static str) -> Result<&'a [u8], WireError> {
        self.value(number).ok_or(WireError::Missing(what))
    }

    fn flow_id(&self) -> Result<u32, WireError> {
        u32_of(self.required(field::FLOW_ID, "a flow id")?, "a flow id")
    }

    fn window(&self) -> Result<u8, WireError> {
        u8_of(self.required(field::WINDOW, "a window")?, "a window")
    }

    fn endpoint(&self) -> Result<Endpoint<'a>, WireError> {
        if let Some(name) = self.value(field::TOPIC_ENDPOINT_NAME) {
            return text_of(name, "a topic endpoint name").map(Endpoint::TopicEndpoint);
        }
        let name = self.required(field::QUEUE_NAME, "an endpoint name")?;
        text_of(name, "a queue name").map(Endpoint::Queue)
    }

    fn durability(&self) -> Result<Durability, WireError> {
        match self.value(field::DURABILITY) {
            None | Some([1]) => Ok(Durability::Durable),
            Some([2]) => Ok(Durability::Temporary),
            Some(value) => Err(unknown("endpoint durability", value)),
        }
    }

    fn access(&self) -> Result<Option<AccessType>, WireError> {
        match self.value(field::ACCESS) {
            None => Ok(None),
            Some([1]) => Ok(Some(AccessType::Exclusive)),
            Some([2]) => Ok(Some(AccessType::NonExclusive)),
            Some(value) => Err(unknown("access type", value)),
        }
    }
}

fn unknown(what: &'static str, value: &[u8]) -> WireError {
    u8_of(value, what).map_or_else(|error| error, |value| WireError::Unknown { what, value })
}
