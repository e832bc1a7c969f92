//! AssuredCtrl version 2: flows, acknowledgements and endpoints of guaranteed messaging.

mod answer;
mod request;

pub use answer::{
    Activity, write_flow_change, write_frame, write_publish_ack, write_publisher_flow_opened, write_unbind,
};
pub use request::{
    AccessType, AckRange, Bind, Durability, Endpoint, FlowChanges, Outcome, Request, SpecialFlow,
};

use super::WireError;
use super::field::{prefixed_value, write_prefixed};

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
