//! Generated events, shuffled and doubled, end in exactly the rows that an independent model computes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::Command;

use anyhow::ensure;
use bytes::Bytes;
use e2e::{EVERY_FAULT, Published, Traffic};
use futures_util::SinkExt;
use harness::cluster::Cluster;
use harness::paths;
use tokio_postgres::Client;

const EVENTS: u64 = 8_000;
const SEED: u64 = 7;

/// Has the generator write events with every fault to `file`.
fn generate(file: &Path) -> anyhow::Result<()> {
    println!("seed {SEED}");
    let traffic = Traffic { changes: Some(EVENTS), per_minute: 0, seed: SEED, faults: &EVERY_FAULT };
    let mut generator = Command::new(paths::bridge()?);
    let status = generator.args(traffic.arguments()).arg("--output").arg(file).status()?;
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
    let published = Published::read(&file)?;
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    // Small batches: the fold of one must agree with the guard of the next.
    client.batch_execute("set pg_cdc_ods.batch_size = 700").await?;

    let staged = stage(&client, &file).await?;
    let applied: i64 = client.query_one("select events from cdc.apply()", &[]).await?.get(0);

    assert_eq!(applied, staged);
    let letters: i64 = client.query_one("select count(*) from cdc.dlq", &[]).await?.get(0);
    assert_eq!(letters.unsigned_abs(), published.dead_letters());
    published.ensure_applied(&client).await
}
