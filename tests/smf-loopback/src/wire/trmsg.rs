//! TrMsg: the messages themselves. The broker passes their bodies on unopened.

use super::WireError;
use super::field::{text_of, u32_of, u64_of};
use super::frame::{FLAG_GUARANTEED, Frame, FrameWriter, Header, Protocol};
use super::param::{Param, ParamKind};

/// Extended parameter 0x02e (redelivery count), whose width bits say four bytes.
const REDELIVERY_COUNT: u16 = 0x302e;

/// What the broker needs to know of a message that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Topic or queue destination.
    pub topic: &'a str,
    /// How it is to be delivered.
    pub mode: Mode,
}

/// The two kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passed on to whoever listens now.
    Direct,
    /// Spooled and acknowledged.
    Guaranteed {
        /// The publisher flow on this connection.
        flow: u32,
        /// The message's number on that flow.
        message_id: u64,
    },
}

impl<'a> Publish<'a> {
    /// Reads the header of a message.
    ///
    /// # Errors
    /// If the topic is missing or not text, or a guaranteed message lacks flow or message id.
    pub fn parse(frame: &'a Frame) -> Result<Self, WireError> {
        let mut topic = None;
        let mut flow = None;
        let mut message_id = None;
        for param in frame.params() {
            match param.kind {
                ParamKind::TOPIC => topic = Some(text_of(param.value, "a topic")?),
                ParamKind::FLOW_ID => flow = Some(u32_of(param.value, "a flow id")?),
                ParamKind::MESSAGE_ID => message_id = Some(u64_of(param.value, "a message id")?),
                _ => {}
            }
        }
        let mode = if frame.header().flags & FLAG_GUARANTEED == 0 {
            Mode::Direct
        } else {
            Mode::Guaranteed {
                flow: flow.ok_or(WireError::Missing("the flow id of a guaranteed message"))?,
                message_id: message_id.ok_or(WireError::Missing("the id of a guaranteed message"))?,
            }
        };
        Ok(Self { topic: topic.ok_or(WireError::Missing("the topic of a message"))?, mode })
    }
}

/// What a guaranteed message carries on its way to one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The consumer flow.
    pub flow: u32,
    /// Number of the message.
    pub message_id: u64,
    /// Number of the message sent before it on this flow, 0 for the first. The client drops every
    /// message whose chain does not fit.
    pub previous_id: u64,
    /// How often it was sent before.
    pub redeliveries: u32,
}

/// Appends a guaranteed message for a consumer, made from the publisher's frame.
pub fn write_delivery(out: &mut Vec<u8>, published: &Frame, delivery: &Delivery) {
    let mut frame = begin_forwarded(out, published, published.header().flags | FLAG_GUARANTEED);
    frame.param(Param::new(ParamKind::MESSAGE_ID, &delivery.message_id.to_be_bytes()));
    frame.param(Param::new(ParamKind::PREVIOUS_MESSAGE_ID, &delivery.previous_id.to_be_bytes()));
    frame.param(Param::new(ParamKind::FLOW_ID, &delivery.flow.to_be_bytes()));
    if delivery.redeliveries > 0 {
        frame.param(Param::new(ParamKind::REDELIVERED, &[]));
    }
    let [high, low] = REDELIVERY_COUNT.to_be_bytes();
    let [a, b, c, d] = delivery.redeliveries.to_be_bytes();
    frame.param(Param::new(ParamKind::EXTENDED, &[high, low, a, b, c, d]));
    frame.finish(|out| out.extend_from_slice(published.body()));
}

/// Appends a message for a direct subscriber, made from the publisher's frame. A guaranteed message
/// becomes a direct one on this way.
pub fn write_direct(out: &mut Vec<u8>, published: &Frame) {
    let frame = begin_forwarded(out, published, published.header().flags & !FLAG_GUARANTEED);
    frame.finish(|out| out.extend_from_slice(published.body()));
}

/// Begins a frame with all of the publisher's parameters that are not about its own flow.
fn begin_forwarded<'a>(out: &'a mut Vec<u8>, published: &Frame, flags: u8) -> FrameWriter<'a> {
    let header =
        Header { flags, service: published.header().service, ..Header::from_broker(Protocol::TrMsg) };
    let mut frame = FrameWriter::begin(out, header);
    for param in published.params().filter(|param| !concerns_publisher_only(param.kind)) {
        frame.param(param);
    }
    frame
}

fn concerns_publisher_only(kind: ParamKind) -> bool {
    matches!(
        kind,
        ParamKind::CORRELATION_TAG
            | ParamKind::ACK_IMMEDIATELY
            | ParamKind::MESSAGE_ID
            | ParamKind::PREVIOUS_MESSAGE_ID
            | ParamKind::REDELIVERED
            | ParamKind::FLOW_ID
            | ParamKind::EXTENDED
    )
}
