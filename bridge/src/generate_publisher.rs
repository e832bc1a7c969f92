//! Lets the generator publish through Solace: its wishes of a broker, met by the publisher.

use crate::generate::{Answers, GuaranteedPublisher, Message};
use crate::solace::{Error, OutboundMessage, Publisher};

impl GuaranteedPublisher for Publisher {
    type Error = Error;

    async fn publish(&mut self, message: Message<'_>) -> Result<(), Error> {
        let message = OutboundMessage {
            topic: message.topic.to_owned(),
            payload: message.payload,
            application_message_id: Some(message.message_id.to_owned()),
            ..OutboundMessage::default()
        };
        Self::publish(self, message).await
    }

    fn answers(&self) -> Answers {
        let answers = Self::answers(self);
        Answers { acked: answers.acknowledged, rejected: answers.rejected }
    }

    async fn all_answered(&mut self) -> Result<(), Error> {
        Self::all_answered(self).await
    }
}
