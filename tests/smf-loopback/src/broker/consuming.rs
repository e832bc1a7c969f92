//! What consumers ask for: binds, unbinds and acknowledgements.

use std::sync::Arc;

use super::State;
use crate::config::Access;
use crate::consumer_flow::ConsumerFlow;
use crate::ids::{FlowId, MessageId, SessionId};
use crate::queue::{Lifetime, Queue};
use crate::wire::assured_ctrl::{
    AckRange, Activity, Bind, Durability, Endpoint, FlowChanges, MessageKind, field, write_frame,
    write_unbind,
};
use crate::wire::frame::Tag;
use crate::wire::response::Response;

/// All permissions, up to deleting the queue.
const PERMISSION_DELETE: u32 = 0x0f;

/// Makes the client report how often a message was delivered.
const BEHAVIOUR_DELIVERY_COUNT: [u8; 2] = [0x08, 0x00];

const EXCLUSIVE: u8 = 1;
const NON_EXCLUSIVE: u8 = 2;
const DURABLE: u8 = 1;
const TEMPORARY: u8 = 2;

impl State {
    pub(super) fn bind(&mut self, id: SessionId, tag: Option<Tag>, bind: &Bind<'_>) {
        let name = match self.bindable_queue(id, bind) {
            Ok(name) => name,
            Err(refusal) => return self.answer_endpoint(id, tag, &refusal, MessageKind::Bind, bind.endpoint),
        };
        let flow_id = self.next_flow_id();
        let (Some(session), Some(queue)) = (self.sessions.get_mut(&id), self.queues.get_mut(&name)) else {
            return;
        };
        let flow = ConsumerFlow::new(flow_id, id, session.outbox.clone(), bind.flow_changes);
        let activity = queue.bind(flow);
        session.consumers.insert(flow_id, name);
        let incarnation = self.incarnation;
        session.outbox.push(|out| {
            write_frame(out, tag, Some(&Response::OK), MessageKind::Bind, |body| {
                body.u32(field::FLOW_ID, flow_id.0).text(field::QUEUE_NAME, &queue.name);
                body.u8(field::WINDOW, bind.window).u8(field::ACCESS, access_number(queue.access));
                body.u32(field::GRANTED_PERMISSIONS, PERMISSION_DELETE);
                body.u8(field::DURABILITY, durability_number(queue.lifetime));
                if bind.flow_changes == FlowChanges::Reported {
                    body.u8(field::ACTIVE_FLOW, activity.number());
                }
                body.u64(field::SPOOLER_ID, incarnation).bytes(field::BEHAVIOUR, &BEHAVIOUR_DELIVERY_COUNT);
            });
        });
        tracing::debug!(queue = &*queue.name, active = activity == Activity::Active, "flow bound");
    }

    /// The queue that a bind means; a temporary one is made if it is not there.
    fn bindable_queue(&mut self, id: SessionId, bind: &Bind<'_>) -> Result<Arc<str>, Response> {
        let Endpoint::Queue(name) = bind.endpoint else { return Err(Response::NOT_SUPPORTED) };
        if bind.special.is_some() {
            return Err(Response::NOT_SUPPORTED);
        }
        if let Some(queue) = self.queues.get(name) {
            return Ok(queue.name.clone());
        }
        if bind.durability == Durability::Durable {
            return Err(Response::UNKNOWN_QUEUE);
        }
        let name: Arc<str> = name.into();
        let queue = Queue::new(name.clone(), Access::Exclusive, Lifetime::Temporary(id));
        self.queues.insert(name.clone(), queue);
        Ok(name)
    }

    pub(super) fn unbind(&mut self, id: SessionId, tag: Option<Tag>, flow: FlowId) {
        self.remove_flow(id, flow);
        // An unbind without an answer is repeated for ever, so unknown flows are answered too.
        self.send(id, |out| write_unbind(out, tag, &Response::OK, flow.0));
    }

    fn remove_flow(&mut self, id: SessionId, flow: FlowId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let Some(name) = session.consumers.remove(&flow)
            && let Some(queue) = self.queues.get_mut(&name)
        {
            queue.unbind(flow);
        }
    }

    /// Ends all flows of a queue from the broker's side and says how many.
    pub(crate) fn unbind_queue(&mut self, name: &str, reason: &Response) -> Option<usize> {
        let flows: Vec<(SessionId, FlowId)> = self.queues.get(name)?.flows().collect();
        for (id, flow) in &flows {
            self.send(*id, |out| write_unbind(out, None, reason, flow.0));
            self.flush(*id);
            self.remove_flow(*id, *flow);
        }
        Some(flows.len())
    }

    pub(super) fn acknowledge(
        &mut self,
        id: SessionId,
        flow: FlowId,
        received: u64,
        window: u8,
        ranges: &[AckRange],
    ) {
        // An acknowledgement can cross with the end of its flow.
        let Some(name) = self.sessions.get(&id).and_then(|session| session.consumers.get(&flow)) else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(name) {
            queue.acknowledge(flow, MessageId(received), window, ranges, &mut self.message_ids);
        }
    }

    /// Answers a request about an endpoint with its name alone.
    pub(super) fn answer_endpoint(
        &self,
        id: SessionId,
        tag: Option<Tag>,
        response: &Response,
        kind: MessageKind,
        endpoint: Endpoint<'_>,
    ) {
        self.send(id, |out| write_frame(out, tag, Some(response), kind, |body| endpoint.write(body)));
    }
}

fn access_number(access: Access) -> u8 {
    match access {
        Access::Exclusive => EXCLUSIVE,
        Access::NonExclusive => NON_EXCLUSIVE,
    }
}

fn durability_number(lifetime: Lifetime) -> u8 {
    match lifetime {
        Lifetime::Durable => DURABLE,
        Lifetime::Temporary(_) => TEMPORARY,
    }
}
