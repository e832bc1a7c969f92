//! Debezium's own envelope, `{"before", "after", "source", "op", "ts_ms"}`, with or without `schema` and `payload`
//! around it: read in one pass. This is what nearly all messages are.
//!
//! Usual messages are read by a [`UsualReader`], all others by `serde_json`; both hand the values of fields out by
//! [`Values`], so that it is told only once what becomes of them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Control;
use super::fields::{Fields, Name};
use super::scanner::Unusual;
use super::source_fields::{SourceFields, scalar};
use super::usual::{Known, UsualReader};
use crate::row::Row;

/// Who reads the fields of an object: hands out the value of the next one in the form that is asked for.
pub(super) trait Values<'a> {
    type Error;

    fn raw(&mut self) -> Result<&'a str, Self::Error>;
    fn text(&mut self) -> Result<Option<Cow<'a, str>>, Self::Error>;
    /// A text, number or boolean as text.
    fn scalar(&mut self) -> Result<Option<Cow<'a, str>>, Self::Error>;
    fn row(&mut self) -> Result<Option<Row<'a>>, Self::Error>;
    fn source(&mut self) -> Result<Option<Box<SourceFields<'a>>>, Self::Error>;
    /// An envelope, which is large: so it is made where it stays.
    fn envelope(&mut self, place: &mut Option<Envelope<'a>>) -> Result<(), Self::Error>;
    fn ignore(&mut self) -> Result<(), Self::Error>;
}

/// The message's body: the envelope itself, or `schema` and `payload` around it.
#[derive(Debug, PartialEq)]
pub(super) struct Body<'a> {
    pub(super) schema: Option<&'a str>,
    pub(super) payload: Option<Envelope<'a>>,
    pub(super) bare: Envelope<'a>,
}

/// The envelope with all of its fields optional; which must be there depends on `op`.
#[derive(Debug, Default, PartialEq)]
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
#[derive(Debug, Default, PartialEq)]
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

    /// Takes the field `name`, whose value is the next one.
    pub(super) fn take_field<V: Values<'a>>(&mut self, name: &str, values: &mut V) -> Result<(), V::Error> {
        self.seen.fields += 1;
        match name {
            "before" => self.before = values.row()?,
            "after" => self.after = values.row()?,
            "source" => self.source = values.source()?,
            "op" => self.op = values.text()?,
            "ts_ms" => self.processed_ms = values.scalar()?,
            "status" => self.status = values.scalar()?,
            "transaction" => self.total_order = total_order(values.raw()?),
            _ => values.ignore()?,
        }
        self.see(name);
        Ok(())
    }

    /// Notes a field that tells what kind of message it is.
    fn see(&mut self, name: &str) {
        let counter = match name {
            "before" | "after" | "source" => &mut self.seen.envelope,
            "ts_ms" | "ts_us" | "ts_ns" => &mut self.seen.times,
            "event_count" | "data_collections" => &mut self.seen.transaction,
            "ddl" | "tableChanges" | "databaseName" => &mut self.seen.schema_change,
            "aggregate_type" | "additional_data" => &mut self.seen.notification,
            _ => return,
        };
        *counter += 1;
    }
}

impl<'a> Body<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What `serde_json` says of it: an error of its category `Data` if it is JSON of another form.
    pub(super) fn read(text: &'a str, known: &mut Known<'a>) -> Result<Self, serde_json::Error> {
        let mut body = Self::empty();
        if body.read_usual(text, known).is_err() {
            body = serde_json::from_str(text)?;
        }
        Ok(body)
    }

    /// Reads a body of the usual kind into this empty one.
    fn read_usual(&mut self, text: &'a str, known: &mut Known<'a>) -> Result<(), Unusual> {
        UsualReader::new(text, known).read(|name, reader| self.take_field(name, reader))
    }

    fn empty() -> Self {
        Self { schema: None, payload: None, bare: Envelope::default() }
    }

    /// Takes the field `name`, whose value is the next one.
    fn take_field<V: Values<'a>>(&mut self, name: &str, values: &mut V) -> Result<(), V::Error> {
        match name {
            "payload" => values.envelope(&mut self.payload)?,
            "schema" => self.schema = Some(values.raw()?),
            _ => return self.bare.take_field(name, values),
        }
        self.bare.seen.fields += 1;
        Ok(())
    }
}

/// `transaction.total_order`: the place of the event in its transaction.
fn total_order(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Fields<'_>>(raw).ok()?.get("total_order").and_then(scalar)
}

impl<'de, A: MapAccess<'de>> Values<'de> for A {
    type Error = A::Error;

    fn raw(&mut self) -> Result<&'de str, A::Error> {
        self.next_value::<&'de RawValue>().map(RawValue::get)
    }

    fn text(&mut self) -> Result<Option<Cow<'de, str>>, A::Error> {
        Ok(self.next_value::<Option<Name<'de>>>()?.map(|name| name.0))
    }

    fn scalar(&mut self) -> Result<Option<Cow<'de, str>>, A::Error> {
        self.raw().map(scalar)
    }

    fn row(&mut self) -> Result<Option<Row<'de>>, A::Error> {
        self.next_value()
    }

    fn source(&mut self) -> Result<Option<Box<SourceFields<'de>>>, A::Error> {
        self.next_value()
    }

    fn envelope(&mut self, place: &mut Option<Envelope<'de>>) -> Result<(), A::Error> {
        *place = self.next_value()?;
        Ok(())
    }

    fn ignore(&mut self) -> Result<(), A::Error> {
        self.next_value::<IgnoredAny>().map(drop)
    }
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
                    envelope.take_field(&name, &mut map)?;
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
                let mut body = Body::empty();
                while let Some(Name(name)) = map.next_key()? {
                    body.take_field(&name, &mut map)?;
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(BodyVisitor)
    }
}

#[cfg(test)]
#[path = "debezium_tests.rs"]
mod tests;
