//! From the bytes of a message to a change event: Debezium's envelope, read in one pass and borrowed from the bytes.
//!
//! Two forms are read: `{"schema": …, "payload": {…}}` and the bare payload `{"before", "after", "source", "op",
//! "ts_ms"}`. Column values stay raw JSON text; they are read when the type of their target is known. Field
//! meanings: Debezium's documentation of its Oracle connector, "Data change events".

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::position::Coordinates;
use crate::reject::{ErrorType, Reject};
use crate::{Position, SourceTable};

/// What a change event says was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `c`: a row was inserted.
    Create,
    /// `u`: a row was updated.
    Update,
    /// `d`: a row was deleted.
    Delete,
    /// `r`: a row was read by a snapshot.
    Read,
    /// `t`: a table was emptied.
    Truncate,
    /// `m`: a message that concerns no row.
    Message,
}

impl Operation {
    /// Debezium's letter, as it stands in `source_op`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
            Self::Truncate => "t",
            Self::Message => "m",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            "r" => Self::Read,
            "t" => Self::Truncate,
            "m" => Self::Message,
            _ => return None,
        })
    }
}

/// A row image: column names and their values as raw JSON, in the order of the event.
#[derive(Debug, Default)]
pub struct Row<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Row<'a> {
    /// The columns in the order of the event; where a name comes twice, the later one counts.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the image has no columns at all, as the `before` of some updates.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A change of one row (or, for truncate and message, of none).
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
    /// The row before the change, where it was sent.
    pub before: Option<Row<'a>>,
    /// The row after the change.
    pub after: Option<Row<'a>>,
}

/// What a message turned out to be.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A change event.
    Change(Event<'a>),
    /// A message that changes nothing by its nature: a tombstone, a heartbeat, transaction metadata.
    Control,
}

/// Reads one message.
///
/// `arrival` (the inbox's `seq`) orders events that carry no coordinates of their own.
///
/// # Errors
/// A [`Reject`] of type `MALFORMED_JSON` if the body is not JSON in UTF-8, `MALFORMED_EVENT` if it is JSON but not a
/// change event.
pub fn decode<'a>(topic: &str, payload: &'a [u8], arrival: u64) -> Result<Decoded<'a>, Reject> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Ok(Decoded::Control);
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        let message = format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to());
        Reject::whole(ErrorType::MalformedJson, message)
    })?;
    let body: Body<'a> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let envelope = body.payload.unwrap_or(body.bare);
    if envelope.is_control() {
        return Ok(Decoded::Control);
    }
    envelope.into_event(topic, arrival).map(Decoded::Change)
}

fn malformed(error: &serde_json::Error) -> Reject {
    let (error_type, what) = match error.classify() {
        serde_json::error::Category::Data => (ErrorType::MalformedEvent, "the body is not a change event"),
        _ => (ErrorType::MalformedJson, "the body is not JSON"),
    };
    Reject::whole(error_type, format!("{what}: {error}"))
}

/// The message's body: the envelope itself, or `schema` and `payload` around it.
struct Body<'a> {
    payload: Option<Envelope<'a>>,
    bare: Envelope<'a>,
}

/// Debezium's envelope with all of its fields optional; which must be there depends on `op`.
#[derive(Default)]
struct Envelope<'a> {
    before: Option<Row<'a>>,
    after: Option<Row<'a>>,
    source: Option<Source<'a>>,
    op: Option<Cow<'a, str>>,
    ts_ms: Option<i64>,
    /// A field of transaction metadata, `BEGIN` or `END`.
    status: Option<Cow<'a, str>>,
    /// How many fields there were, known or not: a heartbeat has `ts_ms` alone.
    fields: usize,
}

impl<'a> Envelope<'a> {
    fn is_control(&self) -> bool {
        let heartbeat = self.fields == 1 && self.ts_ms.is_some();
        let transaction = self.op.is_none() && matches!(self.status.as_deref(), Some("BEGIN" | "END"));
        heartbeat || transaction
    }

    fn into_event(self, topic: &str, arrival: u64) -> Result<Event<'a>, Reject> {
        let Some(op) = self.op.as_deref() else {
            let message = "the body is not a change event: it has no field \"op\"";
            return Err(Reject::at(ErrorType::MalformedEvent, "payload.op", message));
        };
        let Some(operation) = Operation::parse(op) else {
            let message = format!("unknown operation {op:?}: expected one of c, u, d, r, t, m");
            return Err(Reject::at(ErrorType::MalformedEvent, "payload.op", message));
        };
        let source = self.source.unwrap_or_default();
        let table = source.table(topic).ok_or_else(|| {
            let message = "the event names no source table, neither in its source block nor in its topic";
            Reject::at(ErrorType::MalformedEvent, "payload.source.table", message)
        })?;
        let source_ts = source.unix_micros().or(self.ts_ms.and_then(|ms| ms.checked_mul(1000)));
        let position = Position::from_source(&source.coordinates())
            .unwrap_or_else(|| Position::from_time(source_ts.unwrap_or(0), arrival));
        Ok(Event {
            source: table,
            op: operation,
            position,
            source_ts,
            before: self.before,
            after: self.after,
        })
    }
}

/// The `source` block: where and when the change happened.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    db: Option<Cow<'a, str>>,
    #[serde(borrow)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow)]
    table: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text_or_number")]
    scn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text_or_number")]
    commit_scn: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rs_id: Option<Cow<'a, str>>,
    ssn: Option<u64>,
    #[serde(borrow, deserialize_with = "text_or_number")]
    snapshot: Option<Cow<'a, str>>,
    ts_ms: Option<i64>,
    ts_us: Option<i64>,
}

impl<'a> Source<'a> {
    /// The table named here; else the one the topic names.
    fn table(&self, topic: &str) -> Option<SourceTable> {
        let schema = self.schema.as_deref().or(self.db.as_deref());
        match (schema, self.table.as_deref()) {
            (Some(schema), Some(table)) => Some(SourceTable::new(schema, table)),
            _ => SourceTable::from_topic(topic),
        }
    }

    fn unix_micros(&self) -> Option<i64> {
        self.ts_us.or_else(|| self.ts_ms?.checked_mul(1000))
    }

    fn coordinates(&self) -> Coordinates<'_> {
        Coordinates {
            scn: self.scn.as_deref().map(Cow::Borrowed),
            commit_scn: self.commit_scn.as_deref().map(Cow::Borrowed),
            rs_id: self.rs_id.as_deref().map(Cow::Borrowed),
            ssn: self.ssn,
            is_snapshot: self.is_snapshot(),
        }
    }

    /// `snapshot` is "false" or absent for streamed changes; an incremental snapshot's reads are snapshot rows too.
    fn is_snapshot(&self) -> bool {
        !matches!(self.snapshot.as_deref(), None | Some("false" | "null"))
    }
}

/// Takes a JSON string, number or boolean as text: SCN are strings in one release and numbers in another.
fn text_or_number<'de: 'a, 'a, D>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = <&'de RawValue>::deserialize(deserializer)?.get();
    if raw == "null" {
        return Ok(None);
    }
    if raw.starts_with(['{', '[']) {
        return Err(D::Error::custom("expected a text or a number"));
    }
    Ok(Some(crate::json::string(raw).unwrap_or(Cow::Borrowed(raw))))
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row image (an object of columns)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut columns = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    columns.push((name, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(Row(columns))
            }
        }
        deserializer.deserialize_map(RowVisitor)
    }
}

/// An object's key, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'a> Envelope<'a> {
    /// Takes the field `name` from `map`; returns false, with the value not yet taken, if it is none of ours.
    fn take_field<'de: 'a, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "before" => self.before = map.next_value()?,
            "after" => self.after = map.next_value()?,
            "source" => self.source = map.next_value()?,
            "op" => self.op = map.next_value::<Option<Name<'de>>>()?.map(|name| name.0),
            "ts_ms" => self.ts_ms = map.next_value()?,
            "status" => self.status = map.next_value::<StatusText<'de>>()?.0,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A `status` that is text; any other kind of value is not transaction metadata and is passed over.
struct StatusText<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for StatusText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(crate::json::string(<&'de RawValue>::deserialize(deserializer)?.get())))
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
                    envelope.fields += 1;
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
                let mut body = Body { payload: None, bare: Envelope::default() };
                while let Some(Name(name)) = map.next_key()? {
                    body.bare.fields += 1;
                    if name == "payload" {
                        body.payload = map.next_value()?;
                    } else if !body.bare.take_field(&name, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(BodyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "cdc/oracle/SALES/ORDERS/insert";

    fn change(payload: &str) -> Event<'_> {
        match decode(TOPIC, payload.as_bytes(), 1).unwrap() {
            Decoded::Change(event) => event,
            Decoded::Control => panic!("a control message: {payload}"),
        }
    }

    fn reject(payload: &[u8]) -> Reject {
        decode(TOPIC, payload, 1).unwrap_err()
    }

    #[test]
    fn the_envelope_is_read_with_and_without_payload() {
        let bare = r#"{"before": null, "after": {"ID": 1, "N": 2.50}, "op": "c", "ts_ms": 5,
            "source": {"schema": "SALES", "table": "ORDERS", "scn": "77", "ts_ms": 4}}"#;
        let wrapped = format!(r#"{{"schema": {{"type": "struct"}}, "payload": {bare}}}"#);
        for body in [bare, wrapped.as_str()] {
            let event = change(body);
            assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
            assert_eq!(event.op, Operation::Create);
            assert_eq!(event.source_ts, Some(4000));
            assert!(event.before.is_none());
            let after = event.after.unwrap();
            assert_eq!(after.columns().collect::<Vec<_>>(), [("ID", "1"), ("N", "2.50")]);
        }
    }

    #[test]
    fn a_scn_may_be_a_text_or_a_number() {
        let text = change(r#"{"op": "u", "after": {}, "source": {"scn": "123456789012345678901"}}"#);
        let number = change(r#"{"op": "u", "after": {}, "source": {"scn": 123456789012345678901}}"#);
        assert_eq!(text.position, number.position);
    }

    #[test]
    fn without_a_source_block_the_topic_names_the_table_and_time_and_arrival_the_position() {
        let event = change(r#"{"op": "c", "after": {"ID": 1}, "ts_ms": 9}"#);
        assert_eq!(event.source, SourceTable::new("SALES", "ORDERS"));
        assert_eq!(event.position, Position::from_time(9000, 1));
    }

    #[test]
    fn tombstones_heartbeats_and_transaction_metadata_change_nothing() {
        let begin = r#"{"status": "BEGIN", "id": "571", "ts_ms": 1, "event_count": null}"#;
        for body in ["", "  \n", r#"{"ts_ms": 1}"#, begin, r#"{"payload": {"ts_ms": 1}}"#] {
            assert!(matches!(decode(TOPIC, body.as_bytes(), 1).unwrap(), Decoded::Control), "{body:?}");
        }
    }

    #[test]
    fn what_is_not_json_says_where_it_breaks() {
        let cut = reject(br#"{"payload": {"op": "c", "after": {"ID": 1"#);
        assert_eq!(cut.error_type, ErrorType::MalformedJson);
        assert!(cut.message.contains("line 1 column"), "{}", cut.message);
        let invalid = reject(b"{\"op\": \"\xff\"}");
        assert_eq!(invalid.error_type, ErrorType::MalformedJson);
        assert!(invalid.message.contains("offset 8"), "{}", invalid.message);
    }

    #[test]
    fn json_that_is_no_change_event_is_told_apart() {
        for body in ["[]", "1", "{}", r#"{"op": "x"}"#, r#"{"op": "c", "after": 3}"#, r#"{"a": 1}"#] {
            assert_eq!(reject(body.as_bytes()).error_type, ErrorType::MalformedEvent, "{body}");
        }
        let unknown = reject(br#"{"payload": {"op": "x"}}"#);
        assert_eq!(unknown.path, "payload.op");
    }

    #[test]
    fn the_source_table_must_be_known() {
        let error = decode("orders", br#"{"op": "c", "after": {}}"#, 1).unwrap_err();
        assert_eq!(error.path, "payload.source.table");
    }
}
