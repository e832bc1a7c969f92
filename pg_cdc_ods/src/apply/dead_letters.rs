//! Sets messages aside in `cdc.dlq`, byte for byte, with the reason.

use cdc_core::Reject;
use pgrx::spi::SpiClient;

use super::arrays::parameter;
use crate::messages::Message;
use crate::plan_cache;
use crate::settings;
use crate::sql_error::spi_failed;

/// A message that could not be applied.
pub(crate) struct Rejected {
    /// Its place in the batch.
    pub(crate) message: usize,
    /// The event's position, where it was decoded.
    pub(crate) source_pos: Option<Vec<u8>>,
    pub(crate) reject: Reject,
}

const WRITE: &str = "
    insert into cdc.dlq (original_topic, stream, seq, source_pos, error_type, error_message, error_detail, payload,
                         payload_json, headers, message_id, status, retry_at)
    select e.topic, e.stream, e.seq, e.source_pos, e.error_type, e.error_message, nullif(e.error_detail, ''),
           e.payload, e.payload_json::jsonb, e.headers::jsonb, e.message_id,
           case when e.may_heal then 'retrying' else 'pending' end,
           case when e.may_heal then clock_timestamp() + $12 * interval '1 second' end
      from unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                  $9::text[], $10::text[], $11::boolean[], $13::text[])
           as e(topic, stream, seq, source_pos, error_type, error_message, error_detail, payload, payload_json,
                headers, may_heal, message_id)";

/// Writes the messages of a batch that were rejected.
pub(super) fn write(client: &mut SpiClient<'_>, messages: &[Message<'_>], rejected: &[Rejected]) {
    if rejected.is_empty() {
        return;
    }
    let is_retried = settings::DLQ_MAX_ATTEMPTS.get() > 0;
    let texts = |read: &dyn Fn(&Message<'_>, &Reject) -> Option<String>| {
        let read = |rejected: &Rejected| read(&messages[rejected.message], &rejected.reject);
        parameter("text", rejected.iter().map(read).collect()).datum
    };
    let payloads = rejected.iter().map(|rejected| Some(messages[rejected.message].payload));
    let args = [
        texts(&|message, _| Some(message.topic.to_owned())),
        texts(&|message, _| Some(message.stream.to_owned())),
        parameter("bigint", rejected.iter().map(|rejected| Some(messages[rejected.message].seq)).collect())
            .datum,
        parameter("bytea", rejected.iter().map(|rejected| rejected.source_pos.clone()).collect()).datum,
        texts(&|_, reject| Some(reject.error_type.as_str().to_owned())),
        texts(&|_, reject| Some(printable(&reject.message))),
        texts(&|_, reject| Some(printable(&reject.path))),
        parameter("bytea", payloads.collect()).datum,
        texts(&|message, _| json(message)),
        texts(&|message, _| message.headers.map(ToString::to_string)),
        parameter(
            "boolean",
            rejected.iter().map(|rejected| Some(is_retried && rejected.reject.may_heal)).collect(),
        )
        .datum,
        settings::DLQ_RETRY_DELAY_S.get().into(),
        texts(&|message, _| message.message_id.map(str::to_owned)),
    ];
    if let Err(error) = plan_cache::update(client, WRITE, &args) {
        spi_failed("cannot write cdc.dlq", &error);
    }
}

/// A text as `text` takes it: zero characters become the symbol for them.
pub(crate) fn printable(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// The payload as text that `jsonb` takes, where it is.
pub(crate) fn json(message: &Message<'_>) -> Option<String> {
    let text = std::str::from_utf8(message.payload).ok()?;
    let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
    (is_json && !text.contains("\\u0000")).then(|| text.to_owned())
}
