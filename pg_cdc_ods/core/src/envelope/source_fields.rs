//! Where and when a change happened: the fields of Debezium's `source` block, wherever they stand.
//!
//! The same fields come in the block itself, as columns `__…` of a flattened row, as attributes `iodebezium…` of a
//! CloudEvent, and as user properties `cdc_…` of Solace's Micro-Integrations.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Name;
use crate::position::Coordinates;
use crate::{SourceTable, json};

/// What is known of an event beside its row, as texts.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct SourceFields<'a> {
    pub(super) db: Option<Cow<'a, str>>,
    pub(super) schema: Option<Cow<'a, str>>,
    pub(super) table: Option<Cow<'a, str>>,
    pub(super) snapshot: Option<Cow<'a, str>>,
    pub(super) op: Option<Cow<'a, str>>,
    pub(super) deleted: Option<Cow<'a, str>>,
    /// When the change was made, in three units.
    pub(super) ts_ms: Option<Cow<'a, str>>,
    pub(super) ts_us: Option<Cow<'a, str>>,
    pub(super) ts_ns: Option<Cow<'a, str>>,
    /// When the connector had it, milliseconds.
    pub(super) processed_ms: Option<Cow<'a, str>>,
    pub(super) coordinates: Coordinates<'a>,
}

impl<'a> SourceFields<'a> {
    /// The place of a field of the `source` block, by its name there or without underscores as CloudEvents need it.
    pub(super) fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let at = &mut self.coordinates;
        Some(match name {
            "db" | "db_name" => &mut self.db,
            "schema" => &mut self.schema,
            "table" | "table_name" => &mut self.table,
            "snapshot" => &mut self.snapshot,
            "ts_ms" | "tsms" | "commit_ts_ms" => &mut self.ts_ms,
            "ts_us" | "tsus" => &mut self.ts_us,
            "ts_ns" | "tsns" => &mut self.ts_ns,
            "scn" => &mut at.scn,
            "commit_scn" | "commitscn" => &mut at.commit_scn,
            "rs_id" | "rsid" => &mut at.rs_id,
            "ssn" => &mut at.ssn,
            "lcr_position" | "lcrposition" => &mut at.lcr_position,
            "txSeq" | "txseq" => &mut at.tx_seq,
            "commit_lsn" | "commitlsn" => &mut at.commit_lsn,
            "change_lsn" | "changelsn" => &mut at.change_lsn,
            "event_serial_no" | "eventserialno" => &mut at.event_serial_no,
            "lsn" => &mut at.lsn,
            "sequence" => &mut at.sequence,
            "file" => &mut at.file,
            "pos" => &mut at.pos,
            "row" => &mut at.row,
            _ => return None,
        })
    }

    /// The place of a column `__…` of a flattened row.
    fn flattened_slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let name = name.strip_prefix("__")?;
        match name.strip_prefix("source_").unwrap_or(name) {
            "op" => Some(&mut self.op),
            "deleted" => Some(&mut self.deleted),
            "ts_ms" if name == "ts_ms" => Some(&mut self.processed_ms),
            "transaction_total_order" => Some(&mut self.coordinates.total_order),
            field => self.slot(field),
        }
    }

    /// The place of an attribute `iodebezium…` of a CloudEvent.
    fn cloud_event_slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match name.strip_prefix("iodebezium")? {
            "op" => Some(&mut self.op),
            "txtotalorder" => Some(&mut self.coordinates.total_order),
            field => self.slot(field),
        }
    }

    /// The place of a user property `cdc_…`.
    fn property_slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match name.strip_prefix("cdc_")? {
            "operation" => Some(&mut self.op),
            "timestamp" => Some(&mut self.processed_ms),
            field => self.slot(field),
        }
    }

    /// Takes a column of a flattened row, if it is one of Debezium's own.
    pub(super) fn take_column(&mut self, name: &str, raw: &'a str) -> bool {
        take(self.flattened_slot(name), scalar(raw))
    }

    /// Takes an attribute of a CloudEvent.
    pub(super) fn take_attribute(&mut self, name: &str, raw: &'a str) {
        take(self.cloud_event_slot(name), scalar(raw));
    }

    /// Takes a user property; returns whether it is one that tells of a change.
    pub(super) fn take_property(&mut self, name: &str, value: &'a serde_json::Value) -> bool {
        let text = match value {
            serde_json::Value::String(text) => Some(Cow::Borrowed(text.as_str())),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(Cow::Owned(value.to_string())),
            _ => None,
        };
        if name.starts_with("cdc_") {
            take(self.property_slot(name), text)
        } else {
            take(self.flattened_slot(name), text)
        }
    }

    /// The schema and the name of the table; what is not named here is taken from the topic.
    pub(super) fn table<'f>(&'f self, topic: &'f str) -> Option<(&'f str, &'f str)> {
        let named = |text: &'f Option<Cow<'a, str>>| text.as_deref().filter(|text| !text.is_empty());
        let schema = named(&self.schema).or_else(|| named(&self.db));
        match (schema, named(&self.table)) {
            (Some(schema), Some(table)) => Some((schema, table)),
            (schema, table) => {
                let from_topic = SourceTable::names_in_topic(topic)?;
                Some((schema.unwrap_or(from_topic.0), table.unwrap_or(from_topic.1)))
            }
        }
    }

    /// When the change was made, microseconds since the Unix epoch; else when the connector had it.
    pub(super) fn unix_micros(&self) -> Option<i64> {
        let count = |text: &Option<Cow<'a, str>>| {
            let text = text.as_deref()?;
            text.parse::<i64>().or_else(|_| text.trim().parse()).ok()
        };
        let millis = |text| count(text).and_then(|millis| millis.checked_mul(1000));
        let micros = count(&self.ts_us)
            .or_else(|| count(&self.ts_ns).map(|nanos| nanos.div_euclid(1000)))
            .or_else(|| millis(&self.ts_ms))
            .or_else(|| millis(&self.processed_ms));
        // Farther from now than any clock is: not a time.
        micros.filter(|micros| micros.unsigned_abs() < MICROS_MAX)
    }

    /// `snapshot` is "false" or absent for streamed changes; an incremental snapshot's reads are snapshot rows too.
    pub(super) fn is_snapshot(&self) -> bool {
        !matches!(self.snapshot.as_deref(), None | Some("false" | "null" | ""))
    }
}

/// The year 9999 in microseconds since the Unix epoch, about.
const MICROS_MAX: u64 = 253_402_300_800_000_000;

fn take<'a>(slot: Option<&mut Option<Cow<'a, str>>>, text: Option<Cow<'a, str>>) -> bool {
    let Some(slot) = slot else { return false };
    *slot = text;
    true
}

/// A JSON string, number or boolean as text: SCN are strings in one release and numbers in another.
pub(super) fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => json::string(raw),
        b'n' | b'{' | b'[' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for SourceFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = SourceFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source block (an object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SourceFields<'de>, A::Error> {
                let mut source = SourceFields::default();
                while let Some(Name(name)) = map.next_key()? {
                    let Some(slot) = source.slot(&name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let raw = map.next_value::<&'de RawValue>()?.get();
                    // A position that cannot be read must not pass for one that was not sent.
                    if raw.starts_with(['{', '[']) {
                        return Err(A::Error::custom(format!("source.{name} must be a text or a number")));
                    }
                    *slot = scalar(raw);
                }
                Ok(source)
            }
        }
        deserializer.deserialize_map(SourceVisitor)
    }
}
