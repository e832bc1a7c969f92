//! Creating and deleting queues at a client's request.

use super::State;
use crate::config::{Access, Quota};
use crate::ids::SessionId;
use crate::queue::{Lifetime, Queue};
use crate::wire::assured_ctrl::{AccessType, Endpoint, MessageKind};
use crate::wire::frame::Tag;
use crate::wire::response::Response;

/// Longest queue name in bytes, as on real brokers.
const MAX_QUEUE_NAME_BYTES: usize = 200;

const BYTES_PER_MB: u64 = 1024 * 1024;

/// Properties of a queue to be created, as far as the client gave them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) access: Option<AccessType>,
    pub(super) quota_mb: Option<u32>,
    pub(super) max_message_bytes: Option<u32>,
}

impl State {
    pub(super) fn create_endpoint(
        &mut self,
        id: SessionId,
        tag: Option<Tag>,
        endpoint: Endpoint<'_>,
        wanted: &Wanted,
    ) {
        let response = self.create_queue(endpoint, wanted).err().unwrap_or(Response::OK);
        self.answer_endpoint(id, tag, &response, MessageKind::CreateEndpoint, endpoint);
    }

    fn create_queue(&mut self, endpoint: Endpoint<'_>, wanted: &Wanted) -> Result<(), Response> {
        let Endpoint::Queue(name) = endpoint else { return Err(Response::NOT_SUPPORTED) };
        if name.is_empty() || name.len() > MAX_QUEUE_NAME_BYTES {
            return Err(Response::INVALID_QUEUE_NAME);
        }
        if self.queues.contains_key(name) {
            return Err(Response::ALREADY_EXISTS);
        }
        let access = match wanted.access {
            Some(AccessType::NonExclusive) => Access::NonExclusive,
            Some(AccessType::Exclusive) | None => Access::Exclusive,
        };
        let mut queue = Queue::new(name.into(), access, Lifetime::Durable);
        if let Some(quota_mb) = wanted.quota_mb {
            queue.quota = Quota { bytes: u64::from(quota_mb) * BYTES_PER_MB, ..Quota::UNLIMITED };
        }
        if let Some(bytes) = wanted.max_message_bytes {
            queue.max_message_bytes = u64::from(bytes);
        }
        self.queues.insert(name.into(), queue);
        tracing::debug!(queue = name, "queue created");
        Ok(())
    }

    pub(super) fn delete_endpoint(&mut self, id: SessionId, tag: Option<Tag>, endpoint: Endpoint<'_>) {
        let response = self.delete_queue(endpoint).err().unwrap_or(Response::OK);
        self.answer_endpoint(id, tag, &response, MessageKind::DeleteEndpoint, endpoint);
    }

    fn delete_queue(&mut self, endpoint: Endpoint<'_>) -> Result<(), Response> {
        let Endpoint::Queue(name) = endpoint else { return Err(Response::NOT_SUPPORTED) };
        self.unbind_queue(name, &Response::QUEUE_DELETED).ok_or(Response::UNKNOWN_QUEUE)?;
        self.queues.remove(name);
        tracing::debug!(queue = name, "queue deleted");
        Ok(())
    }
}
