//! ClientCtrl: login.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::WireError;
use super::field::{length_at, length_field, text_of};
use super::frame::{Frame, FrameWriter, Header, Protocol};
use super::param::{Param, ParamKind};
use super::response::Response;

const VERSION: u8 = 1;
const VERSION_BITS: u8 = 0x7f;
const BODY_HEADER_BYTES: usize = 6;
const FIELD_HEADER_BYTES: usize = 5;
const FIELD_TYPE_BITS: u8 = 0x7f;

/// What a ClientCtrl frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// First frame of a connection.
    Login,
    /// A client that changes its name or description later on.
    Update,
}

impl MessageKind {
    fn from_number(value: u8) -> Result<Self, WireError> {
        match value {
            0 => Ok(Self::Login),
            1 => Ok(Self::Update),
            _ => Err(WireError::Unknown { what: "ClientCtrl message type", value }),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Login => 0,
            Self::Update => 1,
        }
    }
}

/// Numbers of the fields in the body.
pub mod field {
    /// Version of client or broker.
    pub const SOFTWARE_VERSION: u8 = 0x00;
    /// Build date of client or broker.
    pub const SOFTWARE_DATE: u8 = 0x01;
    /// Platform of client or broker.
    pub const PLATFORM: u8 = 0x02;
    /// Name of the client.
    pub const CLIENT_NAME: u8 = 0x05;
    /// Message VPN.
    pub const VPN_NAME: u8 = 0x06;
    /// Topic under which the client alone receives, for replies.
    pub const P2P_TOPIC_BASE: u8 = 0x08;
    /// What the broker can do.
    pub const CAPABILITIES: u8 = 0x09;
    /// Name of the virtual router: the client builds names of temporary queues from it.
    pub const VIRTUAL_ROUTER_NAME: u8 = 0x0a;
    /// Name of the router.
    pub const ROUTER_NAME: u8 = 0x0c;
}

/// The body of a ClientCtrl frame: a list of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCtrl<'a> {
    /// What it asks for or answers.
    pub kind: MessageKind,
    /// Type byte (bit 0x80: a receiver that does not know the field shall fail) and value.
    pub fields: Vec<(u8, &'a [u8])>,
}

impl<'a> ClientCtrl<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// If the version or the message type is unknown or a length is wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        const WHAT: &str = "a ClientCtrl body";
        let length = length_at(body, 2, WHAT)?;
        let mut rest = body.get(BODY_HEADER_BYTES..length).ok_or(WireError::Truncated(WHAT))?;
        if body[0] & VERSION_BITS != VERSION {
            let version = body[0] & VERSION_BITS;
            return Err(WireError::MessageVersion { message: "ClientCtrl", version });
        }
        let kind = MessageKind::from_number(body[1])?;
        let mut fields = Vec::new();
        while let Some(type_byte) = rest.first() {
            let length = length_at(rest, 1, "a ClientCtrl field")?;
            let value =
                rest.get(FIELD_HEADER_BYTES..length).ok_or(WireError::Truncated("a ClientCtrl field"))?;
            fields.push((*type_byte, value));
            rest = &rest[length..];
        }
        Ok(Self { kind, fields })
    }

    /// Appends the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let length: usize = self.fields.iter().map(|(_, value)| FIELD_HEADER_BYTES + value.len()).sum();
        out.extend_from_slice(&[VERSION, self.kind.number()]);
        out.extend_from_slice(&length_field(BODY_HEADER_BYTES + length));
        for (type_byte, value) in &self.fields {
            out.push(*type_byte);
            out.extend_from_slice(&length_field(FIELD_HEADER_BYTES + value.len()));
            out.extend_from_slice(value);
        }
    }

    fn text(&self, number: u8) -> Result<Option<&'a str>, WireError> {
        let field = self.fields.iter().find(|(type_byte, _)| type_byte & FIELD_TYPE_BITS == number);
        field.map(|(_, value)| text_of(value, "a ClientCtrl field")).transpose()
    }
}

/// Who wants to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login<'a> {
    /// Login itself or a later update.
    pub kind: MessageKind,
    /// User name, if one was sent.
    pub username: Option<String>,
    /// Password, if one was sent.
    pub password: Option<String>,
    /// Name that the client gives itself.
    pub client_name: Option<&'a str>,
    /// Message VPN asked for.
    pub vpn: Option<&'a str>,
}

impl<'a> Login<'a> {
    /// Reads a ClientCtrl frame of a client.
    ///
    /// # Errors
    /// If the body is malformed, or user name or password are not base64 of text.
    pub fn parse(frame: &'a Frame) -> Result<Self, WireError> {
        let body = ClientCtrl::parse(frame.body())?;
        Ok(Self {
            kind: body.kind,
            username: frame
                .param(ParamKind::USERNAME)
                .map(|value| unhide(value, "a user name"))
                .transpose()?,
            password: frame
                .param(ParamKind::PASSWORD)
                .map(|value| unhide(value, "a password"))
                .transpose()?,
            client_name: body.text(field::CLIENT_NAME)?,
            vpn: body.text(field::VPN_NAME)?,
        })
    }
}

fn unhide(value: &[u8], what: &'static str) -> Result<String, WireError> {
    let bytes = STANDARD.decode(value).map_err(|_| WireError::Text(what))?;
    String::from_utf8(bytes).map_err(|_| WireError::Text(what))
}

/// Appends the answer to a login: a response, and what the client learns about the broker. A refusal
/// has no fields.
pub fn write_answer(out: &mut Vec<u8>, response: &Response, body: &ClientCtrl<'_>) {
    let mut frame = FrameWriter::begin(out, Header::from_broker(Protocol::ClientCtrl));
    frame.param(Param::new(ParamKind::RESPONSE, &response.to_value()));
    frame.finish(|out| body.write(out));
}

/// What the broker says it can do, one bit each; see [`capabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(u8);

impl Capability {
    /// Number of capability flags in the answer.
    const COUNT: u8 = 27;

    /// Consumer flows.
    pub const SUB_FLOW_GUARANTEED: Self = Self(2);
    /// Temporary queues.
    pub const TEMPORARY_ENDPOINT: Self = Self(3);
    /// Publisher flows.
    pub const PUB_FLOW_GUARANTEED: Self = Self(4);
    /// Clients may create and delete queues.
    pub const ENDPOINT_MANAGEMENT: Self = Self(6);
    /// Topic subscriptions on queues.
    pub const QUEUE_SUBSCRIPTIONS: Self = Self(9);
    /// "Active" and "inactive" events of flows on exclusive queues.
    pub const FLOW_CHANGE_UPDATES: Self = Self(15);
    /// Messages can be settled as failed or rejected.
    pub const NEGATIVE_ACKNOWLEDGEMENT: Self = Self(25);
}

const MAX_GUARANTEED_BYTES: u8 = 2;
const MAX_DIRECT_BYTES: u8 = 3;

/// The value of the capabilities field: flags, first flag in the highest bit, and the size limits for
/// guaranteed and for direct messages in bytes.
pub fn capabilities(offered: &[Capability], max_message_bytes: u32) -> Vec<u8> {
    let mut flags = [0_u8; Capability::COUNT.div_ceil(8) as usize];
    for Capability(number) in offered {
        flags[usize::from(number / 8)] |= 0x80 >> (number % 8);
    }
    let mut value = vec![Capability::COUNT];
    value.extend_from_slice(&flags);
    for number in [MAX_GUARANTEED_BYTES, MAX_DIRECT_BYTES] {
        value.push(number);
        value.extend_from_slice(&length_field(FIELD_HEADER_BYTES + 4));
        value.extend_from_slice(&max_message_bytes.to_be_bytes());
    }
    value
}
