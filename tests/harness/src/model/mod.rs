//! The reference model: what the ODS tables of the e-commerce preset must hold after a stream of events.
//!
//! It is the judge in end-to-end tests, so it shares no code with the extension or the generator, and prefers the
//! plain way to the fast one: per key the event with the highest SCN wins, whatever the order of arrival.
//!
//! Scope: Debezium envelopes with full row images, as the generator sends them. An `update` that leaves columns out,
//! snapshots, truncates and `__debezium_unavailable_value` are outside of it. Everything that cannot be applied
//! (not UTF-8, not JSON, not a change event, a value that its column cannot hold) is a dead letter.
//!
//! ```text
//! NDJSON ──record──► payload ──event──► change per key ──preset──► Row ──difference──► what is wrong
//!                                          json, postgres_text
//! ```

mod actual;
mod difference;
mod event;
mod json;
mod postgres_text;
mod preset;
mod record;

use std::collections::BTreeMap;
use std::io::BufRead;

pub use actual::read_table;
pub use difference::diff;
pub use json::{InvalidJson, Json};
pub use record::RecordError;

use event::{Change, Outcome};

/// The content of a table by key.
pub type Rows = BTreeMap<i64, Row>;

/// A row as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Column name to value, in the text form that PostgreSQL's output functions give; `None` is null.
    pub columns: BTreeMap<String, Option<String>>,
    /// The columns that have no place of their own, by their source names. No such columns is an empty object.
    pub extra_fields: Json,
    /// The `op` of the event that made the row what it is.
    pub source_op: String,
}

/// The expected state after a stream of events.
#[derive(Debug, Default)]
pub struct Model {
    tables: BTreeMap<&'static str, Rows>,
    dead_letters: Vec<Vec<u8>>,
}

/// What is known of a key while events are read: a deleted key keeps its SCN, so that older events stay without
/// effect.
struct Winner {
    scn: u128,
    row: Option<Row>,
}

impl Model {
    /// Reads records of one JSON object per line: `topic` and `payload` (text) or `payload_base64`.
    ///
    /// # Errors
    /// [`RecordError`] if the file cannot be read or a line is not such a record. A broken payload is no error but
    /// a dead letter.
    pub fn from_ndjson(reader: impl BufRead) -> Result<Self, RecordError> {
        let mut winners = BTreeMap::<(&'static str, i64), Winner>::new();
        let mut dead_letters = Vec::new();
        for payload in record::payloads(reader) {
            let payload = payload?;
            match event::read(&payload) {
                Outcome::Change(change) => settle(&mut winners, change),
                Outcome::Nothing => {}
                Outcome::DeadLetter => dead_letters.push(payload),
            }
        }
        let mut tables: BTreeMap<_, Rows> =
            preset::TABLES.iter().map(|table| (table.name, Rows::new())).collect();
        for ((table, key), winner) in winners {
            if let Some(row) = winner.row {
                tables.entry(table).or_default().insert(key, row);
            }
        }
        Ok(Self { tables, dead_letters })
    }

    /// The rows that `table` must hold, such as `cdc_orders`.
    ///
    /// # Panics
    /// If the preset has no such table: a mistake in the test that asks.
    pub fn table(&self, table: &str) -> &Rows {
        self.tables.get(table).unwrap_or_else(|| panic!("the model knows no table {table:?}"))
    }

    /// The names of all tables.
    pub fn table_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.tables.keys().copied()
    }

    /// The payloads that belong in the dead letter queue, in the order of the records.
    pub fn dead_letters(&self) -> &[Vec<u8>] {
        &self.dead_letters
    }
}

/// Keeps the change if no event of its key with the same SCN or a higher one has been seen.
fn settle(winners: &mut BTreeMap<(&'static str, i64), Winner>, change: Change) {
    let Change { table, key, scn, row } = change;
    if winners.get(&(table, key)).is_none_or(|winner| winner.scn < scn) {
        winners.insert((table, key), Winner { scn, row });
    }
}

#[cfg(test)]
mod tests;
