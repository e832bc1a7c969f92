//! From the bytes of a message to a change event, borrowed from the bytes.
//!
//! Every form that Debezium, and Solace's Micro-Integrations around it, can send is read; `docs/decoding.md` shows
//! them. Column values stay raw JSON with what a schema says of them; they are read when the type of their target is
//! known. Field meanings: Debezium's documentation of its connectors, "Data change events".

mod debezium;
mod fields;
mod key;
mod operation;
mod row_forms;
mod scanner;
mod source_fields;
mod usual;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use key::EventKey;
pub use operation::Operation;

use crate::recent::Recent;
use crate::reject::{ErrorType, Reject};
use crate::row::Row;
use crate::schema::{Schema, SchemaCache};
use crate::{Position, SourceTable};
use debezium::{Body, Envelope};
use row_forms::{Change, Form};
use usual::Known;

/// A message as it lies in the inbox.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its topic, levels separated by `/`.
    pub topic: &'a str,
    /// Its body.
    pub payload: &'a [u8],
    /// Its user properties.
    pub headers: Option<&'a Map<String, Value>>,
    /// The broker's id of it, the same when it is delivered again.
    pub message_id: Option<&'a str>,
    /// The inbox's `seq`; with `message_id` it orders events that carry no coordinates of their own.
    pub arrival: u64,
}

/// What is made of a body that is an object of columns, when neither a column `__…` nor a user property says that it
/// is a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareRows {
    /// It is a dead letter.
    #[default]
    Refuse,
    /// It is the row after the change, and the topic tells the rest: `…/{schema}/{table}/{operation}`.
    ByTopic,
}

/// How messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeSettings {
    /// The largest body that is read, in bytes; a larger one is a dead letter `TOO_LARGE`.
    pub payload_bytes_max: usize,
    /// What is made of rows that nothing marks as changes.
    pub bare_rows: BareRows,
}

impl Default for DecodeSettings {
    /// 64 MiB, twice what Solace's brokers take; bare rows are refused.
    fn default() -> Self {
        Self { payload_bytes_max: 64 << 20, bare_rows: BareRows::default() }
    }
}

/// A change of one row (or, for a truncate, of none).
#[derive(Debug)]
pub struct Event<'a> {
    /// Where the change happened.
    pub source: SourceTable,
    /// What was done.
    pub op: Operation,
    /// The place in the history of the source.
    pub position: Position,
    /// The source's time of the change, microseconds since the Unix epoch.
    pub source_ts: Option<i64>,
    /// The key of the message, where it has one.
    pub key: Option<EventKey<'a>>,
    /// The row before the change, where it was sent.
    pub before: Option<Row<'a>>,
    /// The row after the change.
    pub after: Option<Row<'a>>,
    /// The schema of the row, where it was sent.
    pub schema: Option<Arc<Schema>>,
}

/// What a message is that changes nothing by its nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// An empty body, which lets a compacted topic forget a key.
    Tombstone,
    /// A sign of life of a connector.
    Heartbeat,
    /// The begin or the end of a transaction.
    Transaction,
    /// A statement that changed a table of the source.
    SchemaChange,
    /// `m`: a message that an application wrote to the log of its database.
    Message,
    /// Progress of a snapshot and the like.
    Notification,
}

impl Control {
    /// The name used in statistics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Heartbeat => "heartbeat",
            Self::Transaction => "transaction",
            Self::SchemaChange => "schema_change",
            Self::Message => "message",
            Self::Notification => "notification",
        }
    }
}

/// What a message turned out to be.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A change event.
    Change(Event<'a>),
    /// A message that changes nothing by its nature.
    Control(Control),
}

/// Reads one message that has no user properties, with default settings; see [`Decoder::decode`].
///
/// # Errors
/// As [`Decoder::decode`].
pub fn decode<'a>(topic: &'a str, payload: &'a [u8], arrival: u64) -> Result<Decoded<'a>, Reject> {
    let message = Message { topic, payload, headers: None, message_id: None, arrival };
    Decoder::new(DecodeSettings::default()).decode(&message)
}

/// Reads the messages of a batch, and each schema among them once.
#[derive(Debug)]
pub struct Decoder<'a> {
    settings: DecodeSettings,
    schemas: SchemaCache<'a>,
    known: Known<'a>,
    tables: Recent<SourceTable>,
}

impl<'a> Decoder<'a> {
    /// A decoder for one batch.
    pub fn new(settings: DecodeSettings) -> Self {
        Self { settings, schemas: SchemaCache::default(), known: Known::default(), tables: Recent::default() }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// A [`Reject`] of type `TOO_LARGE` if the body is beyond the limit, `MALFORMED_JSON` if it is not JSON in UTF-8,
    /// `MALFORMED_EVENT` if it is JSON but not a change event.
    pub fn decode(&mut self, message: &Message<'a>) -> Result<Decoded<'a>, Reject> {
        let limit = self.settings.payload_bytes_max;
        if message.payload.len() > limit {
            let text = format!("the body has {} bytes; at most {limit} are read", message.payload.len());
            return Err(Reject::whole(ErrorType::TooLarge, text));
        }
        let key = match message.headers {
            Some(headers) => EventKey::read(headers, &mut self.schemas)?,
            None => None,
        };
        let form = if message.payload.iter().all(u8::is_ascii_whitespace) {
            self.read_empty(message)?
        } else {
            self.read_body(message)?
        };
        match form {
            Form::Change(change) => change.into_event(message, key, &mut self.tables).map(Decoded::Change),
            Form::Control(Control::Tombstone) => Ok(tombstone(message, key)),
            Form::Control(control) => Ok(Decoded::Control(control)),
            Form::Unknown => {
                let text = "the body is not a change event: it has no field \"op\"";
                Err(Reject::at(ErrorType::MalformedEvent, "payload.op", text))
            }
        }
    }

    fn read_body(&mut self, message: &Message<'a>) -> Result<Form<'a>, Reject> {
        let text = text(message.payload)?;
        let failed = match Body::read(text, &mut self.known) {
            Ok(body) => {
                let envelope = body.payload.unwrap_or(body.bare);
                if let Some(control) = envelope.control() {
                    return Ok(Form::Control(control));
                }
                if envelope.is_change() {
                    let schema = body.schema.and_then(|text| self.schemas.row(text));
                    return change(envelope, schema).map(Form::Change);
                }
                None
            }
            Err(error) if error.is_data() => Some(error),
            Err(error) => {
                return Err(Reject::whole(
                    ErrorType::MalformedJson,
                    format!("the body is not JSON: {error}"),
                ));
            }
        };
        match (self.read_row_form(message, text)?, failed) {
            (Form::Unknown, Some(error)) => {
                let text = format!("the body is not a change event: {error}");
                Err(Reject::whole(ErrorType::MalformedEvent, text))
            }
            (form, _) => Ok(form),
        }
    }
}

fn text(payload: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        let message = format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to());
        Reject::whole(ErrorType::MalformedJson, message)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn change<'a>(envelope: Envelope<'a>, schema: Option<Arc<Schema>>) -> Result<Change<'a>, Reject> {
    let letter = envelope.op.as_deref().unwrap_or_default();
    let Some(op) = Operation::from_letter(letter) else {
        let message = format!("unknown operation {letter:?}: expected one of c, u, d, r, t, m");
        return Err(Reject::at(ErrorType::MalformedEvent, "payload.op", message));
    };
    let mut source = envelope.source.unwrap_or_default();
    source.processed_ms = envelope.processed_ms;
    source.coordinates.total_order = envelope.total_order;
    let change = Change { op, source, before: envelope.before, after: envelope.after, schema };
    Ok(change.typed())
}

/// A tombstone whose key and table are known is a delete without a position: it takes effect on rows that came
/// without one as well, as flattened events may, and on no others.
fn tombstone<'a>(message: &Message<'a>, key: Option<EventKey<'a>>) -> Decoded<'a> {
    match (SourceTable::from_topic(message.topic), key) {
        (Some(source), Some(key)) => Decoded::Change(Event {
            source,
            op: Operation::Delete,
            position: Position::from_time(0, message.arrival),
            source_ts: None,
            key: Some(key),
            before: None,
            after: None,
            schema: None,
        }),
        _ => Decoded::Control(Control::Tombstone),
    }
}

impl<'a> Change<'a> {
    fn into_event(
        self,
        message: &Message<'a>,
        key: Option<EventKey<'a>>,
        tables: &mut Recent<SourceTable>,
    ) -> Result<Event<'a>, Reject> {
        let (schema, table) = self.source.table(message.topic).ok_or_else(|| {
            let message = "the event names no source table, neither in its source block nor in its topic";
            Reject::at(ErrorType::MalformedEvent, "payload.source.table", message)
        })?;
        let is_it = |known: &SourceTable| known.table() == table && known.schema() == schema;
        let source = tables.find_or_add(is_it, || SourceTable::new(schema, table)).clone();
        let source_ts = self.source.unix_micros();
        let is_snapshot = self.source.is_snapshot() || self.op == Operation::Read;
        let position = Position::from_source(&self.source.coordinates, is_snapshot).unwrap_or_else(|| {
            let micros = source_ts.unwrap_or(0);
            match message.message_id {
                Some(id) => Position::from_time_and_message_id(micros, id),
                None => Position::from_time(micros, message.arrival),
            }
        });
        let Self { op, before, after, schema, .. } = self;
        Ok(Event { source, op, position, source_ts, key, before, after, schema })
    }
}

#[cfg(test)]
mod tests;
