//! Random events, and how Debezium writes them.

use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

use crate::table::Table;

/// Few, so that events meet.
const KEYS: u32 = 3;

const EVENTS_MAX: usize = 10;

const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// One event, all but its position.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    op: &'static str,
    before: Value,
    after: Value,
}

impl Event {
    /// The message of the event at this place of the history, which is its position.
    pub(crate) fn payload(&self, table: &Table, place: usize) -> String {
        let Self { op, before, after } = self;
        let source = json!({"schema": "SALES", "table": table.source(), "scn": (98 + place).to_string(),
            "ts_ms": 1_700_000_000_000_usize + place});
        json!({"op": op, "before": before, "after": after, "source": source}).to_string()
    }
}

/// A random history. Its events need not follow from each other: an ODS sees what was there when it began.
pub(crate) fn history(rng: &mut impl Rng, table: &Table) -> Vec<Event> {
    (0..rng.random_range(1..=EVENTS_MAX)).map(|_| event(rng, table)).collect()
}

fn event(rng: &mut impl Rng, table: &Table) -> Event {
    let key = key(rng, table);
    match rng.random_range(0..20) {
        0..5 => Event { op: "c", before: Value::Null, after: row(rng, key) },
        5 => Event { op: "r", before: Value::Null, after: row(rng, key) },
        6..15 => Event { op: "u", before: Value::Null, after: row(rng, key) },
        15 => Event { op: "u", before: self::key(rng, table).into(), after: row(rng, key) },
        16 => Event { op: "d", before: row(rng, key), after: Value::Null },
        17 | 18 => Event { op: "d", before: key.into(), after: Value::Null },
        _ => Event { op: "t", before: Value::Null, after: Value::Null },
    }
}

fn key(rng: &mut impl Rng, table: &Table) -> Map<String, Value> {
    let mut key = Map::from_iter([("ID".to_owned(), rng.random_range(1..=KEYS).into())]);
    if table.has_second_key {
        key.insert("CODE".to_owned(), if rng.random_bool(0.8) { "a" } else { "b" }.into());
    }
    key
}

/// Draws the value of a column.
type AnyValue = fn(&mut dyn Rng) -> Value;

/// A row with this key, whole or with gaps.
fn row(rng: &mut impl Rng, mut row: Map<String, Value>) -> Value {
    let is_whole = rng.random_bool(0.4);
    let columns: [(&str, AnyValue); 6] = [
        ("AMOUNT", |rng| json!(f64::from(rng.random_range(1..400)) / 4.0)),
        ("STATUS", |rng| json!(format!("status {}", rng.random_range(1..100)))),
        ("AT", |rng| json!(1_700_000_000_000_i64 + rng.random_range(1..100_000))),
        ("DOC", |rng| document(rng).into()),
        ("EXTRA", |rng| rng.random_range(1..100).into()),
        ("OTHER", |rng| json!({"a": [rng.random_range(1..100), null]})),
    ];
    for (name, value) in columns {
        let value = match rng.random_range(0..10) {
            0 => Value::Null,
            1..6 => value(rng),
            // Columns that are unknown to the target come seldom.
            _ if is_whole && !matches!(name, "EXTRA" | "OTHER") => value(rng),
            6 => UNAVAILABLE.into(),
            _ => continue,
        };
        row.insert(name.to_owned(), value);
    }
    Value::Object(row)
}

/// A document with up to three items; one in six is malformed.
fn document(rng: &mut dyn Rng) -> String {
    let items = 0..rng.random_range(0..4);
    let items: String =
        items.map(|_| format!("<item sku=\"{}\" qty=\"1\"/>", rng.random_range(1..100))).collect();
    let end = if rng.random_bool(1.0 / 6.0) { "</other>" } else { "</order>" };
    format!("<order>{items}{end}")
}
