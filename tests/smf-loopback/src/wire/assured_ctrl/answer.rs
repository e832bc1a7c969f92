//! What the broker says: whole AssuredCtrl frames.

use super::{BodyWriter, MessageKind, field, write_body};
use crate::wire::frame::{FrameWriter, Header, Protocol, Tag};
use crate::wire::param::{Param, ParamKind};
use crate::wire::response::Response;

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

/// Appends an acknowledgement of publishes: everything up to `last_acked`. With an error as response
/// the message `last_acked` is refused. The response always goes along: without it the client applies
/// an earlier error to this acknowledgement.
pub fn write_publish_ack(out: &mut Vec<u8>, response: &Response, flow: u32, last_acked: u64, window: u8) {
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
