//! Topic subscriptions of clients and of queues.

use super::{SessionError, State};
use crate::ids::SessionId;
use crate::topic::Subscription;
use crate::wire::frame::Frame;
use crate::wire::response::Response;
use crate::wire::smp::{Action, Confirmation, Request, Subscriber, write_answer};

impl State {
    pub(super) fn change_subscription(&mut self, id: SessionId, frame: &Frame) -> Result<(), SessionError> {
        let request = Request::parse(frame.body())?;
        let response = self.apply_subscription(id, &request).err().unwrap_or(Response::OK);
        if request.confirmation == Confirmation::Wanted {
            self.send(id, |out| write_answer(out, frame, &response));
        }
        Ok(())
    }

    fn apply_subscription(&mut self, id: SessionId, request: &Request<'_>) -> Result<(), Response> {
        let subscription = Subscription::parse(request.topic).map_err(|_| Response::INVALID_SUBSCRIPTION)?;
        let changed = match (request.subscriber, request.action) {
            (Subscriber::Client, action) => {
                let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
                match action {
                    Action::Add => session.subscriptions.insert(subscription),
                    Action::Remove => session.subscriptions.remove(&subscription),
                }
            }
            (Subscriber::Queue(name), action) => {
                let queue = self.queues.get_mut(name).ok_or(Response::UNKNOWN_QUEUE)?;
                match action {
                    Action::Add => queue.subscribe(subscription),
                    Action::Remove => queue.unsubscribe(&subscription),
                }
            }
        };
        match (changed, request.action) {
            (true, _) => Ok(()),
            (false, Action::Add) => Err(Response::SUBSCRIPTION_EXISTS),
            (false, Action::Remove) => Err(Response::SUBSCRIPTION_NOT_FOUND),
        }
    }
}
