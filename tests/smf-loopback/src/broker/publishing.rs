//! What publishers send: publisher flows, guaranteed and direct messages.

use super::{Publisher, SessionError, State};
use crate::ids::{FlowId, SessionId};
use crate::publisher_flow::{Offer, PublisherFlow};
use crate::queue::{Full, Queue};
use crate::topic::QUEUE_DESTINATION_PREFIX;
use crate::wire::assured_ctrl::{
    MessageKind, field, write_frame, write_publish_ack, write_publisher_flow_opened,
};
use crate::wire::frame::{Frame, Tag};
use crate::wire::response::Response;
use crate::wire::trmsg::{Mode, Publish, write_direct};

/// Topics of temporary queues are their names.
const TEMPORARY_QUEUE_PREFIX: &str = "#P2P/QTMP/";

/// Publisher flows remembered for clients that come back; the oldest is forgotten first. A client
/// whose flow is forgotten opens a new one and publishes again what was not acknowledged.
const MAX_PUBLISHER_FLOWS: usize = 10_000;

impl State {
    pub(super) fn open_publisher_flow(&mut self, id: SessionId, tag: Option<Tag>, name: &str, window: u8) {
        let flow = self.next_flow_id();
        let number = if name.is_empty() {
            self.publisher_flows.insert(flow.0, PublisherFlow::default());
            if self.publisher_flows.len() > MAX_PUBLISHER_FLOWS {
                self.publisher_flows.pop_first();
            }
            flow.0
        } else if let Some(number) = self.publisher_flow_number(name) {
            number
        } else {
            self.send(id, |out| {
                let refusal = Some(&Response::UNKNOWN_FLOW_NAME);
                write_frame(out, tag, refusal, MessageKind::OpenPublisherFlow, |body| {
                    body.text(field::PUBLISHER_FLOW_NAME, name);
                });
            });
            return;
        };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.publishers.insert(flow, Publisher { number, window });
        let name = self.publisher_flow_name(number);
        let last = self.publisher_flows[&number].last();
        self.send(id, |out| write_publisher_flow_opened(out, tag, flow.0, &name, last, window));
    }

    pub(super) fn close_publisher_flow(&mut self, id: SessionId, tag: Option<Tag>, flow: FlowId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let Some(publisher) = session.publishers.remove(&flow)
        {
            self.publisher_flows.remove(&publisher.number);
        }
        self.send(id, |out| {
            write_frame(out, tag, Some(&Response::OK), MessageKind::ClosePublisherFlow, |body| {
                body.u32(field::FLOW_ID, flow.0);
            });
        });
    }

    /// Forgets every publisher flow, as a broker that lost them.
    pub(crate) fn forget_publisher_flows(&mut self) {
        self.publisher_flows.clear();
    }

    fn publisher_flow_name(&self, number: u32) -> String {
        format!("smf-loopback/{:016x}/{number}", self.incarnation)
    }

    fn publisher_flow_number(&self, name: &str) -> Option<u32> {
        let number = name.rsplit('/').next()?.parse().ok()?;
        let known = self.publisher_flows.contains_key(&number) && name == self.publisher_flow_name(number);
        known.then_some(number)
    }

    pub(super) fn publish(&mut self, id: SessionId, frame: &Frame) -> Result<(), SessionError> {
        let publish = Publish::parse(frame)?;
        match publish.mode {
            Mode::Direct => {
                self.totals.direct_received += 1;
                self.forward(publish.topic, frame);
                Ok(())
            }
            Mode::Guaranteed { flow, message_id } => {
                self.take_guaranteed(id, FlowId(flow), message_id, publish.topic, frame)
            }
        }
    }

    fn take_guaranteed(
        &mut self,
        id: SessionId,
        flow_id: FlowId,
        message_id: u64,
        topic: &str,
        frame: &Frame,
    ) -> Result<(), SessionError> {
        let session = self.sessions.get(&id).ok_or(SessionError::Dropped)?;
        let unknown_flow = SessionError::UnknownPublisherFlow(flow_id.0);
        let Some(publisher) = session.publishers.get(&flow_id).copied() else { return Err(unknown_flow) };
        let Some(flow) = self.publisher_flows.get_mut(&publisher.number) else { return Err(unknown_flow) };
        if flow.offer(message_id) == Offer::Duplicate {
            self.totals.publish_duplicates += 1;
            return Ok(());
        }
        match self.spool(topic, frame) {
            Ok(()) => {
                self.totals.published += 1;
                if let Some(flow) = self.publisher_flows.get_mut(&publisher.number) {
                    flow.accepted(message_id);
                }
                self.forward(topic, frame);
            }
            Err(refusal) => self.refuse_publish(id, flow_id, publisher, message_id, &refusal),
        }
        Ok(())
    }

    /// Puts a message into every queue that wants it, or into none if one has no room.
    fn spool(&mut self, topic: &str, frame: &Frame) -> Result<(), Response> {
        if let Some(refusal) = &self.faults.publish_refusal {
            return Err(refusal.clone());
        }
        let bytes = frame.bytes().len() as u64;
        if bytes > u64::from(self.config.max_message_bytes) {
            return Err(Response::MESSAGE_TOO_LARGE);
        }
        let mut spooled = 0;
        let mut targets: Vec<&mut Queue> = Vec::new();
        for queue in self.queues.values_mut() {
            spooled += queue.bytes();
            if wants(queue, topic) {
                spooled += bytes;
                queue.check_room(bytes).map_err(|full| match full {
                    Full::OverQuota => Response::SPOOL_OVER_QUOTA,
                    Full::MessageTooLarge => Response::MESSAGE_TOO_LARGE,
                })?;
                targets.push(queue);
            }
        }
        if targets.is_empty() {
            self.totals.unrouted += 1;
            return Ok(());
        }
        if spooled > self.config.spool_bytes {
            return Err(Response::SPOOL_OVER_QUOTA);
        }
        let message_id = self.message_ids.next();
        for queue in targets {
            queue.enqueue(message_id, frame.clone());
        }
        Ok(())
    }

    fn refuse_publish(
        &mut self,
        id: SessionId,
        flow_id: FlowId,
        publisher: Publisher,
        message_id: u64,
        refusal: &Response,
    ) {
        self.totals.publishes_refused += 1;
        // What came before the refused message was taken, and the client has to hear so first.
        self.send_publish_acks(id);
        if let Some(flow) = self.publisher_flows.get_mut(&publisher.number) {
            flow.refused(message_id);
        }
        self.send(id, |out| write_publish_ack(out, refusal, flow_id.0, message_id, publisher.window));
    }

    /// Sends the acknowledgements that a client is owed, one for each of its flows.
    pub(super) fn send_publish_acks(&mut self, id: SessionId) {
        if self.faults.publish_acks_held {
            return;
        }
        let Some(session) = self.sessions.get(&id) else { return };
        for (flow_id, publisher) in &session.publishers {
            let flow = self.publisher_flows.get_mut(&publisher.number);
            if let Some(last) = flow.and_then(PublisherFlow::take_owed_ack) {
                session.outbox.push(|out| {
                    write_publish_ack(out, &Response::OK, flow_id.0, last, publisher.window);
                });
            }
        }
    }

    /// Sends the acknowledgements that were held back.
    pub(crate) fn release_publish_acks(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.send_publish_acks(id);
            self.flush(id);
        }
    }

    /// Passes a message on to everybody who is subscribed to its topic now.
    fn forward(&mut self, topic: &str, frame: &Frame) {
        for session in self.sessions.values() {
            if !session.subscriptions.iter().any(|subscription| subscription.matches(topic)) {
                continue;
            }
            if session.outbox.is_full() {
                self.totals.direct_discarded += 1;
                continue;
            }
            session.outbox.push(|out| write_direct(out, frame));
            session.outbox.flush();
        }
    }
}

/// A message sent to a queue goes there and nowhere else; all others go by topic.
fn wants(queue: &Queue, topic: &str) -> bool {
    match topic.strip_prefix(QUEUE_DESTINATION_PREFIX) {
        Some(name) => *queue.name == *name,
        None if topic.starts_with(TEMPORARY_QUEUE_PREFIX) => *queue.name == *topic,
        None => queue.attracts(topic),
    }
}
