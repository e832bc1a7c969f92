//! Generated events, shuffled and doubled, end in exactly the rows that an independent model computes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::Command;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::SinkExt;
use harness::cluster::Cluster;
use harness::model::{Model, diff, read_table};
use tokio_postgres::Client;

const EVENTS: &str = "20000";
const SEED: &str = "7";

/// Has the generator write events with every fault to `file`.
fn generate(file: &Path) -> anyhow::Result<()> {
    let bridge = std::env::var("PG_CDC_ODS_BRIDGE")
        .context("PG_CDC_ODS_BRIDGE names no cdc-bridge: run `make e2e`")?;
    println!("seed {SEED}");
    let status = Command::new(bridge)
        .args(["generate", "--rate", "0", "--count", EVENTS, "--seed", SEED, "--drift", "0.15"])
        .args(["--malformed", "0.01", "--duplicates", "0.05", "--out-of-order", "0.1", "--late", "0.02"])
        .arg("--output")
        .arg(file)
        .status()?;
    ensure!(status.success(), "the generator failed");
    Ok(())
}

/// Copies records into the inbox in several transactions, so that batches and ticks end in the middle of things.
async fn stage(client: &Client, file: &Path) -> anyhow::Result<i64> {
    let lines: Vec<String> = BufReader::new(File::open(file)?).lines().collect::<Result<_, _>>()?;
    client.batch_execute("create temp table record (line text)").await?;
    for chunk in lines.chunks(3000) {
        let mut copy = pin!(
            client
                .copy_in("copy record from stdin with (format csv, delimiter e'\\x02', quote e'\\x01')")
                .await?
        );
        let text: String = chunk.iter().map(|line| format!("\u{1}{line}\u{1}\n")).collect();
        copy.send(Bytes::from(text)).await?;
        copy.finish().await?;
        let insert = "insert into cdc.inbox (stream, topic, payload, message_id)
            select 'test', r->>'topic', coalesce(convert_to(r->>'payload', 'UTF8'), decode(r->>'payload_base64', 'base64')),
                   r->>'message_id' from (select line::json as r from record) records";
        client.batch_execute(&format!("{insert}; truncate record")).await?;
    }
    Ok(lines.len().try_into()?)
}

#[tokio::test]
async fn generated_events_end_in_the_rows_of_the_model() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    generate(&file)?;
    let model = Model::from_ndjson(BufReader::new(File::open(&file)?))?;
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    // Small batches: the fold of one must agree with the guard of the next.
    client.batch_execute("set pg_cdc_ods.batch_size = 700").await?;

    let staged = stage(&client, &file).await?;
    let applied: i64 = client.query_one("select events from cdc.apply()", &[]).await?.get(0);

    assert_eq!(applied, staged);
    for table in model.table_names() {
        assert!(!model.table(table).is_empty(), "the generator made no rows for {table}");
        let differences = diff(model.table(table), &read_table(&client, table).await?);
        assert!(differences.is_empty(), "{table}:\n{}", differences.join("\n"));
    }
    let letters = client.query("select payload from cdc.dlq", &[]).await?;
    let mut letters: Vec<Vec<u8>> = letters.iter().map(|row| row.get(0)).collect();
    let mut expected = model.dead_letters().to_vec();
    letters.sort();
    expected.sort();
    assert!(letters == expected, "{} dead letters, expected {}", letters.len(), expected.len());
    Ok(())
}
