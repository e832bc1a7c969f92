//! From a payload to the change of one key.

use std::collections::BTreeMap;

use super::json::Json;
use super::preset::{Image, Table};

/// What a message does.
pub(super) enum Outcome {
    /// It changes a key.
    Change(Change),
    /// It is a tombstone, which says nothing new.
    Nothing,
    /// It cannot be applied.
    DeadLetter,
}

/// What one event says of a key.
pub(super) struct Change {
    pub(super) table: &'static Table,
    pub(super) key: i64,
    pub(super) scn: u128,
    /// What it tells of the row, or `None` if it deletes it.
    pub(super) image: Option<Image>,
}

/// Reads one payload.
pub(super) fn read(payload: &[u8]) -> Outcome {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Outcome::Nothing;
    }
    change(payload).map_or(Outcome::DeadLetter, Outcome::Change)
}

/// The change that a payload describes; `None` if it describes none that can be applied.
fn change(payload: &[u8]) -> Option<Change> {
    let body = Json::parse(std::str::from_utf8(payload).ok()?).ok()?;
    let envelope = body.member("payload").unwrap_or(&body);
    let source = envelope.member("source")?;
    let table = Table::of_source(source.member("table")?.as_text()?)?;
    let scn = source.member("scn")?.as_text()?.parse().ok()?;
    let op = envelope.member("op")?.as_text()?;
    let (key, image) = match op {
        "c" | "u" | "r" => {
            let after = image(envelope, "after")?;
            (table.key(after).ok()?, Some(table.image(after.clone(), op).ok()?))
        }
        "d" => (table.key(image(envelope, "before")?).ok()?, None),
        _ => return None,
    };
    Some(Change { table, key, scn, image })
}

fn image<'a>(envelope: &'a Json, name: &str) -> Option<&'a BTreeMap<String, Json>> {
    match envelope.member(name)? {
        Json::Object(columns) => Some(columns),
        _ => None,
    }
}
