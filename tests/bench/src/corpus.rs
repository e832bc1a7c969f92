//! The events that all measures share, made by the bridge's generator from a seed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use harness::{Published, paths};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A message as it lies in a queue.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) message_id: String,
}

impl Message {
    /// The source table, the last but one level of the topic.
    pub(crate) fn table(&self) -> &str {
        self.topic.rsplit('/').nth(1).unwrap_or_default()
    }
}

/// The messages, and what they must come to.
pub(crate) struct Corpus {
    pub(crate) messages: Vec<Message>,
    pub(crate) description: Description,
    file: PathBuf,
    /// Holds the file.
    _folder: TempDir,
}

/// What the corpus is like.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    pub(crate) seed: u64,
    pub(crate) events: u64,
    /// Mean size of a payload.
    pub(crate) mean_bytes: f64,
    /// Events of each source table, in percent.
    pub(crate) mix_percent: BTreeMap<String, f64>,
    /// Inserted orders that have an XML document, in percent.
    pub(crate) orders_with_xml_percent: f64,
}

impl Corpus {
    /// Has the generator make events: none late, doubled, malformed, or with columns that are not known, for the
    /// hand-written SQL could not take these.
    ///
    /// # Errors
    /// If the generator fails.
    pub(crate) fn generate(events: u64, seed: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("corpus.ndjson");
        let mut generator = Command::new(paths::bridge()?);
        generator.args([
            "generate",
            "--rate",
            "0",
            "--count",
            &events.to_string(),
            "--seed",
            &seed.to_string(),
        ]);
        let output = generator.arg("--output").arg(&file).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "the generator failed: {}", String::from_utf8_lossy(&output.stderr));
        let messages = read(&file)?;
        ensure!(messages.len() as u64 == events, "{} messages generated, not {events}", messages.len());
        let description = Description::of(&messages, seed);
        Ok(Self { messages, description, file, _folder: folder })
    }

    /// Number of events.
    pub(crate) fn events(&self) -> u64 {
        self.messages.len() as u64
    }

    /// What the tables of the preset must hold in the end.
    ///
    /// # Errors
    /// If the file is gone.
    pub(crate) fn published(&self) -> anyhow::Result<Published> {
        Published::read(&self.file)
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<Message>> {
    let lines = BufReader::new(File::open(file)?).lines();
    lines
        .map(|line| serde_json::from_str(&line?).context("the generator wrote a line that is no message"))
        .collect()
}

impl Description {
    fn of(messages: &[Message], seed: u64) -> Self {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let mut counts = BTreeMap::<&str, usize>::new();
        for message in messages {
            *counts.entry(message.table()).or_default() += 1;
        }
        let inserted: Vec<&Message> =
            messages.iter().filter(|message| message.topic.ends_with("/ORDERS/insert")).collect();
        let with_xml =
            inserted.iter().filter(|message| message.payload.contains("\"SHIPPING_INFO\"")).count();
        let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
        Self {
            seed,
            events: messages.len() as u64,
            mean_bytes: bytes as f64 / messages.len().max(1) as f64,
            mix_percent: counts
                .into_iter()
                .map(|(table, count)| (table.to_owned(), percent(count, messages.len())))
                .collect(),
            orders_with_xml_percent: percent(with_xml, inserted.len()),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mix: Vec<String> =
            self.mix_percent.iter().map(|(table, percent)| format!("{table} {percent:.1} %")).collect();
        let Self { seed, events, mean_bytes, orders_with_xml_percent, .. } = self;
        write!(
            f,
            "{events} events of {mean_bytes:.0} bytes each, seed {seed}: {}; {orders_with_xml_percent:.0} % of order \
             inserts with XML",
            mix.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Message {
        Message { topic: topic.to_owned(), payload: payload.to_owned(), message_id: String::new() }
    }

    #[test]
    fn a_corpus_tells_its_mix_and_size() {
        let messages = [
            message("cdc/oracle/SALES/ORDERS/insert", "{\"SHIPPING_INFO\": 1}"),
            message("cdc/oracle/SALES/ORDERS/insert", "{}"),
            message("cdc/oracle/SALES/ORDERS/update", "{}"),
            message("cdc/oracle/SALES/PRODUCTS/delete", ""),
        ];
        let description = Description::of(&messages, 7);
        assert_eq!(description.mean_bytes, 6.0);
        assert_eq!(description.mix_percent["ORDERS"], 75.0);
        assert_eq!(
            description.to_string(),
            "4 events of 6 bytes each, seed 7: ORDERS 75.0 %, PRODUCTS 25.0 %; 50 % of order inserts with XML"
        );
    }
}
