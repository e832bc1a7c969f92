//! Parameters of the SMF header, between its fixed part and the body.

use super::WireError;
use super::field::{prefixed_value, write_prefixed};

const LIGHTWEIGHT_BIT: u8 = 0x20;
const PAD: u8 = 0;

/// What a header parameter means. Lightweight parameters have a number space of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// At most three bytes of value, one byte of overhead.
    Lightweight(u8),
    /// Any length.
    Standard(u8),
}

impl ParamKind {
    /// 24 bits that an answer repeats, so that the client finds its request.
    pub const CORRELATION_TAG: Self = Self::Lightweight(0);
    /// The publisher asks for the acknowledgement now.
    pub const ACK_IMMEDIATELY: Self = Self::Lightweight(3);
    /// User name of a login, in base64.
    pub const USERNAME: Self = Self::Standard(0x06);
    /// Password of a login, in base64.
    pub const PASSWORD: Self = Self::Standard(0x07);
    /// Response code and text.
    pub const RESPONSE: Self = Self::Standard(0x08);
    /// Number of a guaranteed message.
    pub const MESSAGE_ID: Self = Self::Standard(0x11);
    /// Number of the guaranteed message before it on the same flow.
    pub const PREVIOUS_MESSAGE_ID: Self = Self::Standard(0x12);
    /// Mark of a message that was sent before.
    pub const REDELIVERED: Self = Self::Standard(0x13);
    /// Number of the flow that a guaranteed message belongs to.
    pub const FLOW_ID: Self = Self::Standard(0x17);
    /// Topic, or queue destination as `#P2P/QUE/<queue>`.
    pub const TOPIC: Self = Self::Standard(0x18);
    /// Stream of extended parameters.
    pub const EXTENDED: Self = Self::Standard(0x1f);
}

/// One header parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// What it means.
    pub kind: ParamKind,
    /// What a receiver that does not know it shall do: 0 and 1 ignore it, 2 and 3 answer with an
    /// error. Lightweight parameters have none.
    pub unknown_handling: u8,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Param<'a> {
    /// A parameter that a receiver may ignore.
    pub fn new(kind: ParamKind, value: &'a [u8]) -> Self {
        Self { kind, unknown_handling: 0, value }
    }

    /// Appends the parameter as it stands on the wire. A lightweight value of more than three bytes
    /// is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.kind {
            ParamKind::Lightweight(number) => {
                let value = &self.value[..self.value.len().min(3)];
                out.push(LIGHTWEIGHT_BIT | (number & 7) << 2 | value.len() as u8);
                out.extend_from_slice(value);
            }
            ParamKind::Standard(number) => {
                write_prefixed(out, self.unknown_handling << 6 | number & 0x1f, self.value);
            }
        }
    }
}

/// Walks over the parameters of a header. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// Starts at the first parameter; `bytes` is the header without its fixed part.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn read(&self, first: u8) -> Result<(Param<'a>, &'a [u8]), WireError> {
        const WHAT: &str = "a header parameter";
        let (kind, unknown_handling, range) = if first & LIGHTWEIGHT_BIT == 0 {
            let range = prefixed_value(self.rest, WHAT)?;
            (ParamKind::Standard(first & 0x1f), first >> 6, range)
        } else {
            (ParamKind::Lightweight(first >> 2 & 7), 0, 1..1 + usize::from(first & 3))
        };
        let end = range.end;
        let value = self.rest.get(range).ok_or(WireError::Truncated(WHAT))?;
        Ok((Param { kind, unknown_handling, value }, &self.rest[end..]))
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [PAD, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let first = *self.rest.first()?;
        match self.read(first) {
            Ok((param, rest)) => {
                self.rest = rest;
                Some(Ok(param))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}
