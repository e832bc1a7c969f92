//! Sets messages aside in `cdc.dlq`, byte for byte, with the reason.

use cdc_core::Reject;
use pgrx::spi::SpiClient;

use super::arrays::parameter;
use crate::inbox::Message;
use crate::sql_error::spi_failed;

/// A message that could not be applied.
pub(super) struct DeadLetter<'a> {
    pub(super) message: &'a Message,
    source_pos: Option<Vec<u8>>,
    reject: Reject,
}

impl<'a> DeadLetter<'a> {
    pub(super) fn new(message: &'a Message, source_pos: Option<Vec<u8>>, reject: Reject) -> Self {
        Self { message, source_pos, reject }
    }

    /// The payload as text that `jsonb` takes, where it is.
    fn json(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.message.payload).ok()?;
        let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
        (is_json && !text.contains("\\u0000")).then(|| text.to_owned())
    }
}

const WRITE: &str = "
    insert into cdc.dlq (original_topic, stream, seq, source_pos, error_type, error_message, error_detail, payload,
                         payload_json, headers)
    select e.topic, e.stream, e.seq, e.source_pos, e.error_type, e.error_message, nullif(e.error_detail, ''),
           e.payload, e.payload_json::jsonb, e.headers::jsonb
      from unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                  $9::text[], $10::text[])
           as e(topic, stream, seq, source_pos, error_type, error_message, error_detail, payload, payload_json,
                headers)";

/// Writes all dead letters of a batch.
pub(super) fn write(client: &mut SpiClient<'_>, dead: &[DeadLetter<'_>]) {
    if dead.is_empty() {
        return;
    }
    let texts = |read: &dyn Fn(&DeadLetter<'_>) -> Option<String>| {
        parameter("text", dead.iter().map(read).collect()).datum
    };
    let bytes = |read: &dyn Fn(&DeadLetter<'_>) -> Option<Vec<u8>>| {
        parameter("bytea", dead.iter().map(read).collect()).datum
    };
    let args = [
        texts(&|letter| Some(letter.message.topic.clone())),
        texts(&|letter| Some(letter.message.stream.clone())),
        parameter("bigint", dead.iter().map(|letter| Some(letter.message.seq)).collect()).datum,
        bytes(&|letter| letter.source_pos.clone()),
        texts(&|letter| Some(letter.reject.error_type.as_str().to_owned())),
        texts(&|letter| Some(letter.reject.message.replace('\0', "\u{fffd}"))),
        texts(&|letter| Some(letter.reject.path.replace('\0', "\u{fffd}"))),
        bytes(&|letter| Some(letter.message.payload.clone())),
        texts(&|letter| letter.json()),
        texts(&|letter| letter.message.headers.as_ref().map(|headers| headers.0.to_string())),
    ];
    if let Err(error) = client.update(WRITE, None, &args) {
        spi_failed("cannot write cdc.dlq", &error);
    }
}
