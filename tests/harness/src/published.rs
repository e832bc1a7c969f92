//! What was published, as the generator's record tells it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::model::{Model, diff, diff_children, read_children, read_table};
use anyhow::ensure;
use tokio_postgres::Client;

/// The messages of a run, and what must come of them.
#[derive(Debug)]
pub struct Published {
    messages: u64,
    model: Model,
}

impl Published {
    /// Reads the NDJSON file that `cdc-bridge generate` writes.
    ///
    /// # Errors
    /// If it cannot be read, or is no such file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let reader = || File::open(file).map(BufReader::new);
        let messages = reader()?.lines().count() as u64;
        Ok(Self { messages, model: Model::from_ndjson(reader()?)? })
    }

    /// Number of messages, duplicates among them.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Number of rows that a table of the preset must hold in the end.
    ///
    /// # Panics
    /// If the preset has no such table.
    #[must_use]
    pub fn rows(&self, table: &str) -> u64 {
        self.model.table(table).len() as u64
    }

    /// Number of rows that a child table of the preset must have in the end.
    #[must_use]
    pub fn child_rows(&self, table: &str) -> u64 {
        let rows = self.model.child_tables().find(|(name, _)| *name == table);
        rows.map_or(0, |(_, rows)| rows.len() as u64)
    }

    /// Number of those that cannot be applied.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.model.dead_letters().len() as u64
    }

    /// Fails unless all tables of the preset equal the model, those of XML documents too, and the payloads of the dead letters are those it wants.
    ///
    /// # Errors
    /// As said, with the differences; or if a query fails.
    pub async fn ensure_applied(&self, client: &Client) -> anyhow::Result<()> {
        for table in self.model.table_names() {
            let expected = self.model.table(table);
            ensure!(!expected.is_empty(), "the generator made no rows for {table}");
            let differences = diff(expected, &read_table(client, table).await?);
            ensure!(differences.is_empty(), "{table}:\n{}", differences.join("\n"));
        }
        for (table, expected) in self.model.child_tables() {
            ensure!(!expected.is_empty(), "the generator made no rows for {table}");
            let differences = diff_children(expected, &read_children(client, table).await?);
            ensure!(differences.is_empty(), "{table}:\n{}", differences.join("\n"));
        }
        // A malformed message may lie twice in the inbox, and is then two dead letters.
        let letters = client.query("select distinct payload from cdc.dlq order by payload", &[]).await?;
        let letters: Vec<Vec<u8>> = letters.iter().map(|row| row.get(0)).collect();
        let mut expected = self.model.dead_letters().to_vec();
        expected.sort();
        expected.dedup();
        ensure!(letters == expected, "{} dead letters, expected {}", letters.len(), expected.len());
        Ok(())
    }
}
