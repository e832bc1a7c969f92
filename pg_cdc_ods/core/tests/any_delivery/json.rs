//! Events as Debezium writes them.

use cdc_core::Message;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::history::{Event, Field, Key, KeyPlace, Op};
use crate::kinds::Kind;
use crate::target::Target;

const TOPIC: &str = "cdc/oracle/SALES/ORDERS/change";

/// The placeholder, as text and in base64.
const UNAVAILABLE: [&str; 2] =
    ["\"__debezium_unavailable_value\"", "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\""];

/// Events in one transaction, at most.
const TRANSACTION_EVENTS: usize = 3;

/// What an event's position is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connector {
    Oracle,
    PostgreSql,
    MySql,
    SqlServer,
    /// A time, and the broker's id of the message.
    Unknown,
}

pub(crate) fn any_connector() -> impl Strategy<Value = Connector> {
    prop::sample::select(vec![
        Connector::Oracle,
        Connector::PostgreSql,
        Connector::MySql,
        Connector::SqlServer,
        Connector::Unknown,
    ])
}

/// A message as it is in the inbox.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) payload: String,
    headers: Map<String, Value>,
    message_id: String,
}

impl Sent {
    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            topic: TOPIC,
            payload: self.payload.as_bytes(),
            headers: Some(&self.headers),
            message_id: Some(&self.message_id),
            // Without effect, for every message has an id.
            arrival: 0,
        }
    }
}

/// A history as messages, in order. Up to three events are one transaction; a row of a snapshot comes first in its own.
pub(crate) fn messages(target: &Target, history: &[Event], connector: Connector) -> Vec<Sent> {
    let mut transaction = 0;
    let numbered = history.iter().enumerate();
    let message = |(place, event): (usize, &Event)| {
        if event.op == Op::Read || place.is_multiple_of(TRANSACTION_EVENTS) {
            transaction += 1;
        }
        let source = source(connector, transaction, place);
        Sent {
            payload: payload(target, event, &source),
            headers: headers(target, event),
            message_id: format!("message-{place:06}"),
        }
    };
    numbered.map(message).collect()
}

fn source(connector: Connector, transaction: usize, place: usize) -> Value {
    let name = |coordinates: Value| {
        let mut source = json!({"schema": "SALES", "table": "ORDERS"});
        source.as_object_mut().unwrap().extend(coordinates.as_object().unwrap().clone());
        source
    };
    name(match connector {
        // Digits that compare otherwise as text, and beyond 2^53.
        Connector::Oracle => {
            json!({"commit_scn": (9_007_199_254_740_990 + transaction).to_string(), "scn": (8 + place).to_string()})
        }
        Connector::PostgreSql => {
            let lsn = 998 + place;
            json!({"lsn": lsn, "sequence": format!("[\"{}\",\"{lsn}\"]", 8 + transaction)})
        }
        Connector::MySql => json!({"file": format!("binlog.{transaction:06}"), "pos": 98 + place, "row": 0}),
        Connector::SqlServer => {
            let lsn = |number: usize| format!("00000027:{number:08x}:0002");
            json!({"commit_lsn": lsn(transaction), "change_lsn": lsn(place)})
        }
        Connector::Unknown => json!({"ts_ms": 1_700_000_000_000_usize + transaction}),
    })
}

fn payload(target: &Target, event: &Event, source: &Value) -> String {
    let key = (event.key_place != KeyPlace::MessageKey).then_some(&event.key);
    let row = row(target, event, key);
    let (before, after) = match (event.op, &event.old_key) {
        (Op::Delete, _) if row == "{}" => ("null".to_owned(), "null".to_owned()),
        (Op::Delete, _) => (row, "null".to_owned()),
        (_, Some(old)) => (object(&key_members(target, event, old)), row),
        (..) => ("null".to_owned(), row),
    };
    let op = event.op.letter();
    let envelope = format!(r#"{{"op": "{op}", "before": {before}, "after": {after}, "source": {source}}}"#);
    if event.is_wrapped { format!(r#"{{"payload": {envelope}}}"#) } else { envelope }
}

fn headers(target: &Target, event: &Event) -> Map<String, Value> {
    let mut headers = Map::new();
    if event.key_place != KeyPlace::Row {
        let key = object(&key_members(target, event, &event.key));
        headers.insert("cdc_key".to_owned(), key.into());
    }
    headers
}

fn row(target: &Target, event: &Event, key: Option<&Key>) -> String {
    let mut members = key.map(|key| key_members(target, event, key)).unwrap_or_default();
    for (column, field) in target.source_columns().iter().zip(&event.fields) {
        let raw = match *field {
            Field::Absent => continue,
            Field::Unavailable => UNAVAILABLE[event.key_spelling % UNAVAILABLE.len()],
            Field::Null => "null",
            Field::Value { sample, spelling } => column.kind.sample(sample).spelling(spelling),
        };
        // Columns without a place keep their names, so these are not played with.
        let name = if column.overflows() { column.name.clone() } else { cased(event, &column.name) };
        members.push((name, raw));
    }
    object(&members)
}

fn key_members(target: &Target, event: &Event, key: &Key) -> Vec<(String, &'static str)> {
    let columns = target.keys.iter().zip(key).enumerate();
    let member = |(place, (kind, sample)): (usize, (&&'static Kind, &usize))| {
        (cased(event, &format!("KEY_{place}")), kind.sample(*sample).spelling(event.key_spelling))
    };
    columns.map(member).collect()
}

fn cased(event: &Event, name: &str) -> String {
    if event.is_lower_case { name.to_lowercase() } else { name.to_owned() }
}

fn object(members: &[(String, &str)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, raw)| format!("\"{name}\": {raw}")).collect();
    format!("{{{}}}", members.join(", "))
}
