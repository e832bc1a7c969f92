//! Generated events: made by the bridge's simulator, and put into the inbox as the bridge would.

use std::path::Path;
use std::pin::pin;
use std::process::Command;

use anyhow::ensure;
use bytes::Bytes;
use futures_util::SinkExt;
use harness::paths;
use tokio_postgres::Client;

use crate::Traffic;

/// Records that are staged in one transaction: batches and ticks shall end in the middle of things.
const RECORDS_OF_A_TRANSACTION: usize = 3000;

/// Has the generator write events to `file`, one JSON record a line.
///
/// # Errors
/// If it fails.
pub fn generate(file: &Path, traffic: &Traffic) -> anyhow::Result<()> {
    println!("seed {}", traffic.seed);
    let status =
        Command::new(paths::bridge()?).args(traffic.arguments()).arg("--output").arg(file).status()?;
    ensure!(status.success(), "the generator failed");
    Ok(())
}

/// Copies records into the inbox, in their order.
///
/// # Errors
/// If the server refuses them.
pub async fn stage(client: &Client, records: &[String]) -> anyhow::Result<()> {
    client.batch_execute("create temp table record (line text)").await?;
    for chunk in records.chunks(RECORDS_OF_A_TRANSACTION) {
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
    client.batch_execute("drop table record").await?;
    Ok(())
}
