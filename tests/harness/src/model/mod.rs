//! The reference model: what the ODS tables of the e-commerce preset must hold after a stream of events.
//!
//! It is the judge in end-to-end tests, so it shares no code with the extension or the generator, and prefers the
//! plain way to the fast one: the events of each key are applied by SCN, whatever the order of arrival.
//!
//! Scope: Debezium envelopes as the generator sends them, XML documents included, and updates that leave columns out.
//! Changed keys, truncates and `__debezium_unavailable_value` are outside of it. Everything that cannot be applied
//! (not UTF-8, not JSON, not a change event, a value that its column cannot hold) is a dead letter.
//!
//! ```text
//! NDJSON ──record──► payload ──event──► image per key ──preset──► rows ──difference──► what is wrong
//!                                json, postgres_text, document
//! ```

mod actual;
mod difference;
mod document;
mod event;
mod json;
mod postgres_text;
mod preset;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

pub use actual::{read_children, read_table};
pub use difference::{diff, diff_children};
pub use json::{InvalidJson, Json};
pub use record::RecordError;

use event::{Change, Outcome};
use preset::{Image, Table};

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

/// The rows of a child table, each as a line: the key, the column that its document stands in, the number of its line, and
/// the values in the text form of PostgreSQL, with `null` for null.
pub type Children = BTreeSet<String>;

/// The expected state after a stream of events.
#[derive(Debug, Default)]
pub struct Model {
    tables: BTreeMap<&'static str, Rows>,
    child_tables: BTreeMap<&'static str, Children>,
    dead_letters: Vec<Vec<u8>>,
}

/// What the events say of each key, by SCN.
type Histories = BTreeMap<(&'static str, i64), (&'static Table, BTreeMap<u128, Option<Image>>)>;

impl Model {
    /// Reads records of one JSON object per line: `topic` and `payload` (text) or `payload_base64`.
    ///
    /// # Errors
    /// [`RecordError`] if the file cannot be read or a line is not such a record. A broken payload is no error but
    /// a dead letter.
    pub fn from_ndjson(reader: impl BufRead) -> Result<Self, RecordError> {
        let mut histories = Histories::new();
        let mut dead_letters = Vec::new();
        for payload in record::payloads(reader) {
            let payload = payload?;
            match event::read(&payload) {
                Outcome::Change(Change { table, key, scn, image }) => {
                    let (_, events) = histories.entry((table.name, key)).or_insert((table, BTreeMap::new()));
                    events.insert(scn, image);
                }
                Outcome::Nothing => {}
                Outcome::DeadLetter => dead_letters.push(payload),
            }
        }
        let mut tables: BTreeMap<_, Rows> =
            preset::TABLES.iter().map(|table| (table.name, Rows::new())).collect();
        let mut child_tables: BTreeMap<_, Children> =
            document::CHILD_TABLES.iter().map(|table| (table.name, Children::new())).collect();
        for ((name, key), (table, events)) in histories {
            let state = events.into_values().fold(None, |state, image| table.after(state, image));
            let Some(state) = state else { continue };
            for (child_table, line) in table.children(key, &state) {
                child_tables.entry(child_table).or_default().insert(line);
            }
            tables.entry(name).or_default().insert(key, state.row);
        }
        Ok(Self { tables, child_tables, dead_letters })
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

    /// The child tables of XML documents, and the rows that they must hold.
    pub fn child_tables(&self) -> impl Iterator<Item = (&'static str, &Children)> {
        self.child_tables.iter().map(|(name, rows)| (*name, rows))
    }

    /// The payloads that belong in the dead letter queue, in the order of the records.
    pub fn dead_letters(&self) -> &[Vec<u8>] {
        &self.dead_letters
    }
}

#[cfg(test)]
mod tests;
