//! Another way: Pathway, a stream engine in Rust that is told in Python what to do. It is large, so it is measured only where
//! it is there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::bench::Bench;
use crate::corpus::Message;
use crate::stopwatch::Reading;

const PIPELINE: &str = include_str!("../../python/pathway_pipeline.py");

/// How to have it measured.
pub(crate) const HINT: &str = "set PATHWAY_PYTHON to a Python that has it (pip install pathway==0.33.0)";

/// All events in one go, from a file to a file.
pub(super) fn run(bench: &Bench) -> anyhow::Result<Reading> {
    let python = bench.pathway_python.as_deref().context(HINT)?;
    let folder = tempfile::tempdir()?;
    let (events, result) = (folder.path().join("events.ndjson"), folder.path().join("orders.csv"));
    write(&events, &bench.corpus.messages)?;
    let output = Command::new(python).args(["-c", PIPELINE]).args([&events, &result]).output()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the pipeline failed; {HINT}: {complaints}");
    let seconds = String::from_utf8(output.stdout)?;
    let seconds =
        seconds.trim().parse().with_context(|| format!("{seconds:?} is not a time: {complaints}"))?;
    // The first line has the names of the columns.
    let orders = fs::read_to_string(&result)?.lines().count() as u64 - 1;
    let expected = bench.expected_rows("orders");
    ensure!(orders == expected, "{orders} orders came of it, expected {expected}");
    Ok(Reading { events: bench.corpus.events(), seconds, ..Reading::default() })
}

/// An event with its payload as JSON, not as text of it.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    payload: &'a RawValue,
}

fn write(file: &Path, messages: &[Message]) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(file)?);
    for Message { topic, payload, .. } in messages {
        let line = Line { topic, payload: serde_json::from_str(payload)? };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}
