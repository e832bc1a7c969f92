//! Debezium's own envelope, `{"before", "after", "source", "op", "ts_ms"}`, with or without `schema` and `payload`
//! around it: read in one pass. This is what nearly all messages are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Control;
use super::fields::{Fields, Name};
use super::source_fields::{SourceFields, scalar};
use crate::row::Row;

/// The message's body: the envelope itself, or `schema` and `payload` around it.
pub(super) struct Body<'a> {
    pub(super) schema: Option<&'a str>,
    pub(super) payload: Option<Envelope<'a>>,
    pub(super) bare: Envelope<'a>,
}

/// The envelope with all of its fields optional; which must be there depends on `op`.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) before: Option<Row<'a>>,
    pub(super) after: Option<Row<'a>>,
    /// Boxed, because it is large and the envelope is passed on several times.
    pub(super) source: Option<Box<SourceFields<'a>>>,
    pub(super) op: Option<Cow<'a, str>>,
    pub(super) processed_ms: Option<Cow<'a, str>>,
    pub(super) total_order: Option<Cow<'a, str>>,
    /// A field of transaction metadata, `BEGIN` or `END`.
    status: Option<Cow<'a, str>>,
    seen: Seen,
}

/// Which fields there were, to know messages that are not changes.
#[derive(Default)]
struct Seen {
    /// All of them, known or not.
    fields: usize,
    /// `ts_ms`, `ts_us`, `ts_ns`: all that a heartbeat has.
    times: usize,
    /// Fields that only an envelope has.
    envelope: usize,
    /// Fields that only transaction metadata have.
    transaction: usize,
    /// Fields that only messages of a schema change topic have.
    schema_change: usize,
    /// Fields that only notifications have.
    notification: usize,
}

impl<'a> Envelope<'a> {
    /// What the message is, if it is none that changes rows.
    pub(super) fn control(&self) -> Option<Control> {
        let seen = &self.seen;
        if self.op.as_deref() == Some("m") {
            return Some(Control::Message);
        }
        if self.op.is_some() {
            return None;
        }
        let is_transaction =
            seen.transaction > 0 && matches!(self.status.as_deref(), Some("BEGIN" | "END" | "COMMITTED"));
        if seen.fields > 0 && seen.fields == seen.times {
            Some(Control::Heartbeat)
        } else if is_transaction {
            Some(Control::Transaction)
        } else if seen.schema_change >= 2 {
            Some(Control::SchemaChange)
        } else if seen.notification == 2 {
            Some(Control::Notification)
        } else {
            None
        }
    }

    /// Whether this is an envelope, and not a row that happens to have a column `op`.
    pub(super) fn is_change(&self) -> bool {
        let is_bare = self.seen.fields == self.seen.times + usize::from(self.op.is_some());
        self.op.is_some() && (self.seen.envelope > 0 || is_bare)
    }

    /// Takes the field `name` from `map`; returns false, with the value not yet taken, if it is none of ours.
    fn take_field<'de: 'a, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "before" => self.before = map.next_value()?,
            "after" => self.after = map.next_value()?,
            "source" => self.source = map.next_value()?,
            "op" => self.op = map.next_value::<Option<Name<'de>>>()?.map(|name| name.0),
            "ts_ms" => self.processed_ms = scalar(map.next_value::<&'de RawValue>()?.get()),
            "status" => self.status = scalar(map.next_value::<&'de RawValue>()?.get()),
            "transaction" => self.total_order = total_order(map.next_value::<&'de RawValue>()?.get()),
            _ => return Ok(self.see_other(name)),
        }
        match name {
            "before" | "after" | "source" => self.seen.envelope += 1,
            "ts_ms" => self.seen.times += 1,
            _ => (),
        }
        Ok(true)
    }

    /// Notes a field whose value does not matter.
    fn see_other(&mut self, name: &str) -> bool {
        let counter = match name {
            "ts_us" | "ts_ns" => &mut self.seen.times,
            "event_count" | "data_collections" => &mut self.seen.transaction,
            "ddl" | "tableChanges" | "databaseName" => &mut self.seen.schema_change,
            "aggregate_type" | "additional_data" => &mut self.seen.notification,
            _ => return false,
        };
        *counter += 1;
        false
    }
}

/// `transaction.total_order`: the place of the event in its transaction.
fn total_order(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Fields<'_>>(raw).ok()?.get("total_order").and_then(scalar)
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an envelope (an object with \"op\", \"before\", \"after\", \"source\")")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Name(name)) = map.next_key()? {
                    envelope.seen.fields += 1;
                    if !envelope.take_field(&name, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;
        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a change event (an object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
                let mut body = Body { schema: None, payload: None, bare: Envelope::default() };
                while let Some(Name(name)) = map.next_key()? {
                    body.bare.seen.fields += 1;
                    match name.as_ref() {
                        "payload" => body.payload = map.next_value()?,
                        "schema" => body.schema = Some(map.next_value::<&'de RawValue>()?.get()),
                        name if body.bare.take_field(name, &mut map)? => (),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(BodyVisitor)
    }
}
