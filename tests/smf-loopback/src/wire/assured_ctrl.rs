//! AssuredCtrl version 2: flows, acknowledgements and endpoints of guaranteed messaging.

use super::WireError;
use super::field::{prefixed_value, text_of, u8_of, u32_of, u64_of, write_prefixed};
use super::frame::{FrameWriter, Header, Protocol, Tag};
use super::param::{Param, ParamKind};
use super::response::Response;

const VERSION: u8 = 2;
const VERSION_BITS: u8 = 0x3f;
/// Version byte, and 16 bits of message type and length.
const BODY_HEADER_BYTES: usize = 3;
/// Lengths are counted in words of this size.
const WORD_BYTES: usize = 4;
const LENGTH_BITS: u16 = 0x0fff;
const FIELD_TYPE_BITS: u8 = 0x3f;
const PAD: u8 = 0;

/// What an AssuredCtrl frame asks for or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Opens or resumes a publisher flow.
    OpenPublisherFlow,
    /// Acknowledges: publishes (broker to client) or deliveries (client to broker).
    Ack,
    /// Binds a consumer flow to an endpoint.
    Bind,
    /// Ends a consumer flow.
    Unbind,
    /// Ends a publisher flow.
    ClosePublisherFlow,
    /// Creates an endpoint.
    CreateEndpoint,
    /// Deletes an endpoint.
    DeleteEndpoint,
    /// A flow on an exclusive queue becomes active or inactive.
    FlowChangeUpdate,
}

impl MessageKind {
    fn from_number(value: u8) -> Result<Self, WireError> {
        Ok(match value {
            0 => Self::OpenPublisherFlow,
            3 => Self::Ack,
            4 => Self::Bind,
            5 => Self::Unbind,
            7 => Self::ClosePublisherFlow,
            8 => Self::CreateEndpoint,
            9 => Self::DeleteEndpoint,
            12 => Self::FlowChangeUpdate,
            _ => return Err(WireError::Unknown { what: "AssuredCtrl message type", value }),
        })
    }

    fn number(self) -> u8 {
        match self {
            Self::OpenPublisherFlow => 0,
            Self::Ack => 3,
            Self::Bind => 4,
            Self::Unbind => 5,
            Self::ClosePublisherFlow => 7,
            Self::CreateEndpoint => 8,
            Self::DeleteEndpoint => 9,
            Self::FlowChangeUpdate => 12,
        }
    }
}

/// Numbers of the fields in the body.
pub mod field {
    /// Last message id sent, 64 bit.
    pub const LAST_SENT: u8 = 0x01;
    /// Last message id acknowledged, 64 bit, cumulative.
    pub const LAST_ACKED: u8 = 0x02;
    /// How many messages may be under way, 8 bit.
    pub const WINDOW: u8 = 0x03;
    /// Message ids that the application acknowledged: first, last, and an outcome if not accepted.
    pub const ACK_RANGE: u8 = 0x05;
    /// Flow id, 32 bit.
    pub const FLOW_ID: u8 = 0x06;
    /// Queue name.
    pub const QUEUE_NAME: u8 = 0x07;
    /// Topic endpoint name.
    pub const TOPIC_ENDPOINT_NAME: u8 = 0x08;
    /// Publisher flow name.
    pub const PUBLISHER_FLOW_NAME: u8 = 0x0a;
    /// 1 durable, 2 temporary.
    pub const DURABILITY: u8 = 0x0b;
    /// 1 exclusive, 2 non-exclusive.
    pub const ACCESS: u8 = 0x0c;
    /// Selector text.
    pub const SELECTOR: u8 = 0x0d;
    /// What kind of consumer flow: 2 is a browser.
    pub const FLOW_TYPE: u8 = 0x12;
    /// Quota in MB, 32 bit.
    pub const QUOTA_MB: u8 = 0x13;
    /// Largest message in bytes, 32 bit.
    pub const MAX_MESSAGE_BYTES: u8 = 0x14;
    /// Permissions that the client has on the endpoint, 32 bit.
    pub const GRANTED_PERMISSIONS: u8 = 0x15;
    /// 1 if the flow gets messages.
    pub const ACTIVE_FLOW: u8 = 0x20;
    /// The client wants to be told when its flow becomes active or inactive.
    pub const WANTS_FLOW_CHANGES: u8 = 0x21;
    /// Behaviour of the endpoint, 16 bit.
    pub const BEHAVIOUR: u8 = 0x22;
    /// Where a replay starts.
    pub const REPLAY_START: u8 = 0x33;
    /// 64 bit number of the spool. With it the client reports a replication group message id.
    pub const SPOOLER_ID: u8 = 0x36;
}

/// The body of an AssuredCtrl frame before its fields are given a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssuredCtrl<'a> {
    /// What it asks for or answers.
    pub kind: MessageKind,
    fields: &'a [u8],
}

/// One field of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Number, one of [`field`].
    pub number: u8,
    /// What a receiver that does not know it shall do, 0 to 3.
    pub unknown_handling: u8,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> AssuredCtrl<'a> {
    /// Reads a body and checks that its fields can be walked.
    ///
    /// # Errors
    /// If version or message type are unknown, or a length is wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        const WHAT: &str = "an AssuredCtrl body";
        let [version, high, low, ..] = *body else { return Err(WireError::Truncated(WHAT)) };
        if version & VERSION_BITS != VERSION {
            let version = version & VERSION_BITS;
            return Err(WireError::MessageVersion { message: "AssuredCtrl", version });
        }
        let word = u16::from_be_bytes([high, low]);
        let length = usize::from(word & LENGTH_BITS) * WORD_BYTES;
        let fields = body.get(BODY_HEADER_BYTES..length).ok_or(WireError::Truncated(WHAT))?;
        let message = Self { kind: MessageKind::from_number(high >> 4)?, fields };
        let mut rest = fields;
        while let Some((_, behind)) = next_field(rest)? {
            rest = behind;
        }
        Ok(message)
    }

    /// The fields in the order in which they stand.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (field, behind) = next_field(rest).ok().flatten()?;
            rest = behind;
            Some(field)
        })
    }

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

fn next_field(bytes: &[u8]) -> Result<Option<(Field<'_>, &[u8])>, WireError> {
    let pads = bytes.iter().take_while(|byte| **byte == PAD).count();
    let bytes = &bytes[pads..];
    let Some(first) = bytes.first() else { return Ok(None) };
    let range = prefixed_value(bytes, "an AssuredCtrl field")?;
    let behind = &bytes[range.end..];
    let number = first & FIELD_TYPE_BITS;
    Ok(Some((Field { number, unknown_handling: first >> 6, value: &bytes[range] }, behind)))
}

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
                quota_mb: message
                    .value(field::QUOTA_MB)
                    .map(|value| u32_of(value, "a quota"))
                    .transpose()?,
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

/// Appends the fields of a body.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl BodyWriter<'_> {
    /// A field of bytes as they are, with what a receiver that does not know it shall do.
    pub fn field(&mut self, field: Field<'_>) -> &mut Self {
        let type_byte = field.unknown_handling << 6 | field.number & FIELD_TYPE_BITS;
        write_prefixed(self.out, type_byte, field.value);
        self
    }

    /// A field of bytes as they are.
    pub fn bytes(&mut self, number: u8, value: &[u8]) -> &mut Self {
        self.field(Field { number, unknown_handling: 0, value })
    }

    /// An 8 bit field.
    pub fn u8(&mut self, number: u8, value: u8) -> &mut Self {
        self.bytes(number, &[value])
    }

    /// A 32 bit field.
    pub fn u32(&mut self, number: u8, value: u32) -> &mut Self {
        self.bytes(number, &value.to_be_bytes())
    }

    /// A 64 bit field.
    pub fn u64(&mut self, number: u8, value: u64) -> &mut Self {
        self.bytes(number, &value.to_be_bytes())
    }

    /// A text field, with the NUL that ends it.
    pub fn text(&mut self, number: u8, value: &str) -> &mut Self {
        self.bytes(number, &[value.as_bytes(), &[0]].concat())
    }
}

/// Appends an AssuredCtrl frame from the broker: the tag of the request that it answers, a response,
/// and the body.
pub fn write_frame(
    out: &mut Vec<u8>,
    tag: Option<Tag>,
    response: Option<&Response>,
    kind: MessageKind,
    fields: impl FnOnce(&mut BodyWriter<'_>),
) {
    let mut frame = FrameWriter::begin(out, Header::from_broker(Protocol::AssuredCtrl));
    if let Some(Tag(tag)) = tag {
        frame.param(Param::new(ParamKind::CORRELATION_TAG, &tag));
    }
    if let Some(response) = response {
        frame.param(Param::new(ParamKind::RESPONSE, &response.to_value()));
    }
    frame.finish(|out| write_body(out, kind, fields));
}

/// Appends the body alone. It is padded to whole words; 16 KB are the most that its length can say.
pub fn write_body(out: &mut Vec<u8>, kind: MessageKind, fields: impl FnOnce(&mut BodyWriter<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[VERSION, 0, 0]);
    fields(&mut BodyWriter { out });
    let words = (out.len() - start).div_ceil(WORD_BYTES);
    out.resize(start + words * WORD_BYTES, PAD);
    let length = u16::try_from(words).unwrap_or(LENGTH_BITS) & LENGTH_BITS;
    let word = u16::from(kind.number()) << 12 | length;
    out[start + 1..start + BODY_HEADER_BYTES].copy_from_slice(&word.to_be_bytes());
}

/// Appends an acknowledgement of publishes: everything up to `last_acked`. With an error as response
/// the message `last_acked` is refused. The response always goes along: without it the client applies
/// an earlier error to this acknowledgement.
pub fn write_publish_ack(
    out: &mut Vec<u8>,
    response: &Response,
    flow: u32,
    last_acked: u64,
    window: u8,
) {
    write_frame(out, None, Some(response), MessageKind::Ack, |body| {
        body.u64(field::LAST_ACKED, last_acked).u8(field::WINDOW, window).u32(field::FLOW_ID, flow);
    });
}

/// Appends the answer to an opened publisher flow, whether new or resumed.
pub fn write_publisher_flow_opened(
    out: &mut Vec<u8>,
    tag: Option<Tag>,
    flow: u32,
    name: &str,
    last_acked: u64,
    window: u8,
) {
    write_frame(out, tag, Some(&Response::OK), MessageKind::OpenPublisherFlow, |body| {
        body.u32(field::FLOW_ID, flow)
            .text(field::PUBLISHER_FLOW_NAME, name)
            .u64(field::LAST_ACKED, last_acked)
            .u64(field::LAST_SENT, last_acked)
            .u8(field::WINDOW, window);
    });
}

/// Appends the end of a flow: the answer to an unbind, or with an error an unbind by the broker.
pub fn write_unbind(out: &mut Vec<u8>, tag: Option<Tag>, response: &Response, flow: u32) {
    write_frame(out, tag, Some(response), MessageKind::Unbind, |body| {
        body.u32(field::FLOW_ID, flow);
    });
}

/// Whether a flow on a queue gets messages or waits behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It gets messages.
    Active,
    /// It waits.
    Inactive,
}

impl Activity {
    /// The value of the active flow field.
    pub fn number(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Inactive => 0,
        }
    }
}

/// Appends the news that a flow became active or inactive.
pub fn write_flow_change(out: &mut Vec<u8>, flow: u32, activity: Activity) {
    write_frame(out, None, None, MessageKind::FlowChangeUpdate, |body| {
        body.u32(field::FLOW_ID, flow).u8(field::ACTIVE_FLOW, activity.number());
    });
}
