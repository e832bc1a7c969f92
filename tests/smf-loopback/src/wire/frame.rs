//! Frames: the SMF header, and cutting a stream of bytes into frames.

use bytes::{Bytes, BytesMut};

use super::WireError;
use super::field::{length_at, length_field};
use super::param::{Param, ParamKind, Params};

/// Bytes of a header before its parameters.
pub const FIXED_HEADER_BYTES: usize = 12;

const VERSION: u8 = 3;
const VERSION_BITS: u8 = 0x07;
const HEADER_LENGTH_OFFSET: usize = 4;
const TOTAL_LENGTH_OFFSET: usize = 8;

/// Bit of [`Header::flags`]: a guaranteed message ("assured delivery").
pub const FLAG_GUARANTEED: u8 = 0x10;

/// What the body of a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Publisher and consumer flows, acknowledgements, endpoints.
    AssuredCtrl,
    /// Sign of life, old form.
    KeepAlive,
    /// Sign of life.
    KeepAliveV2,
    /// Login.
    ClientCtrl,
    /// A message.
    TrMsg,
    /// Subscriptions.
    Smp,
    /// One that this crate does not know.
    Other(u8),
}

impl Protocol {
    fn from_number(number: u8) -> Self {
        match number {
            0x09 => Self::AssuredCtrl,
            0x0a => Self::KeepAlive,
            0x0b => Self::KeepAliveV2,
            0x0c => Self::ClientCtrl,
            0x0d => Self::TrMsg,
            0x0f => Self::Smp,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::AssuredCtrl => 0x09,
            Self::KeepAlive => 0x0a,
            Self::KeepAliveV2 => 0x0b,
            Self::ClientCtrl => 0x0c,
            Self::TrMsg => 0x0d,
            Self::Smp => 0x0f,
            Self::Other(number) => number & 0x3f,
        }
    }
}

/// The first four bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Flags of byte 0 without the version: 0x10 guaranteed, 0x08 DMQ eligible, 0x40 eliding eligible.
    pub flags: u8,
    /// What a receiver that does not know the protocol shall do, 0 to 3.
    pub unknown_handling: u8,
    /// What the body is.
    pub protocol: Protocol,
    /// Byte 2: class of service and assured-control flags, passed on as they are.
    pub service: u8,
    /// Time to live in hops: the broker always sends 255.
    pub ttl: u8,
}

impl Header {
    /// Header of a frame that the broker makes itself.
    pub fn from_broker(protocol: Protocol) -> Self {
        Self { flags: 0, unknown_handling: 0, protocol, service: 0, ttl: 255 }
    }

    fn parse(bytes: &[u8; 4]) -> Result<Self, WireError> {
        let [first, second, service, ttl] = *bytes;
        if first & VERSION_BITS != VERSION {
            return Err(WireError::SmfVersion(first & VERSION_BITS));
        }
        Ok(Self {
            flags: first & !VERSION_BITS,
            unknown_handling: second >> 6,
            protocol: Protocol::from_number(second & 0x3f),
            service,
            ttl,
        })
    }

    fn to_bytes(self) -> [u8; 4] {
        let second = self.unknown_handling << 6 | self.protocol.number();
        [self.flags & !VERSION_BITS | VERSION, second, self.service, self.ttl]
    }
}

/// A correlation tag: an answer carries the tag of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub [u8; 3]);

/// One whole frame whose header was checked. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: Header,
    body_offset: usize,
    bytes: Bytes,
}

impl Frame {
    /// Checks the header of a frame, parameters included, so that they can be walked without errors
    /// from then on. `bytes` is exactly one frame.
    ///
    /// # Errors
    /// If the version is unknown, or the lengths or the parameters contradict themselves.
    pub fn parse(bytes: Bytes) -> Result<Self, WireError> {
        let lengths = Lengths::read(&bytes)?.ok_or(WireError::Truncated("a frame"))?;
        if lengths.total != bytes.len() {
            return Err(WireError::Truncated("a frame"));
        }
        let start = bytes.first_chunk().ok_or(WireError::Truncated("a frame"))?;
        let header = Header::parse(start)?;
        for param in Params::new(&bytes[FIXED_HEADER_BYTES..lengths.header]) {
            param?;
        }
        Ok(Self { header, body_offset: lengths.header, bytes })
    }

    /// The fixed part.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The header's parameters in the order in which they stand.
    pub fn params(&self) -> impl Iterator<Item = Param<'_>> {
        Params::new(&self.bytes[FIXED_HEADER_BYTES..self.body_offset]).map_while(Result::ok)
    }

    /// The first parameter of a kind.
    pub fn param(&self, kind: ParamKind) -> Option<&[u8]> {
        self.params().find(|param| param.kind == kind).map(|param| param.value)
    }

    /// The correlation tag, if the sender wants an answer.
    pub fn tag(&self) -> Option<Tag> {
        self.param(ParamKind::CORRELATION_TAG)?.try_into().ok().map(Tag)
    }

    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_offset..]
    }

    /// All bytes of the frame.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

struct Lengths {
    header: usize,
    total: usize,
}

impl Lengths {
    /// Reads the two lengths, or nothing if the fixed part is not there yet.
    fn read(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        if bytes.len() < FIXED_HEADER_BYTES {
            return Ok(None);
        }
        let header = length_at(bytes, HEADER_LENGTH_OFFSET, "a header length")?;
        let total = length_at(bytes, TOTAL_LENGTH_OFFSET, "a frame length")?;
        if header < FIXED_HEADER_BYTES || total < header {
            return Err(WireError::FrameLengths { header, total });
        }
        Ok(Some(Self { header, total }))
    }
}

/// Cuts a stream of bytes, fed in pieces of any size, into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    max_frame_bytes: usize,
}

impl FrameDecoder {
    /// A decoder that takes frames of at most `max_frame_bytes`, and so never holds more than that and
    /// the last piece.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_frame_bytes }
    }

    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or nothing until more is fed.
    ///
    /// # Errors
    /// If what comes next is not a frame or is too large. The stream cannot be read on after that.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(lengths) = Lengths::read(&self.buffer)? else { return Ok(None) };
        if lengths.total > self.max_frame_bytes {
            return Err(WireError::FrameTooLarge { total: lengths.total, limit: self.max_frame_bytes });
        }
        if self.buffer.len() < lengths.total {
            return Ok(None);
        }
        Frame::parse(self.buffer.split_to(lengths.total).freeze()).map(Some)
    }
}

/// Appends one frame to `out`: first parameters, then the body.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame.
    pub fn begin(out: &'a mut Vec<u8>, header: Header) -> Self {
        let start = out.len();
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&[0; FIXED_HEADER_BYTES - 4]);
        Self { out, start }
    }

    /// Adds a header parameter.
    pub fn param(&mut self, param: Param<'_>) -> &mut Self {
        param.write(self.out);
        self
    }

    /// Ends the header, lets `write_body` append the body, and fills in the lengths.
    pub fn finish(self, write_body: impl FnOnce(&mut Vec<u8>)) {
        let Self { out, start } = self;
        let header = out.len() - start;
        write_body(out);
        let total = out.len() - start;
        for (offset, length) in [(HEADER_LENGTH_OFFSET, header), (TOTAL_LENGTH_OFFSET, total)] {
            out[start + offset..start + offset + 4].copy_from_slice(&length_field(length));
        }
    }
}
