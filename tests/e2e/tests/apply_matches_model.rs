//! Generated events, shuffled and doubled, end in exactly the rows that an independent model computes.

use std::fs::File;
use std::io::{BufRead, BufReader};

use e2e::{EVERY_FAULT, Published, Traffic};
use harness::cluster::Cluster;

const EVENTS: u64 = 8_000;
const SEED: u64 = 7;

#[tokio::test]
async fn generated_events_end_in_the_rows_of_the_model() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    let traffic = Traffic { changes: Some(EVENTS), per_minute: 0, seed: SEED, faults: &EVERY_FAULT };
    e2e::generate(&file, &traffic)?;
    let published = Published::read(&file)?;
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    // Small batches: the fold of one must agree with the guard of the next.
    client.batch_execute("set pg_cdc_ods.batch_size = 700").await?;

    let records: Vec<String> = BufReader::new(File::open(&file)?).lines().collect::<Result<_, _>>()?;
    e2e::stage(&client, &records).await?;
    let applied: i64 = client.query_one("select events from cdc.apply()", &[]).await?.get(0);

    assert_eq!(usize::try_from(applied)?, records.len());
    let letters: i64 = client.query_one("select count(*) from cdc.dlq", &[]).await?.get(0);
    assert_eq!(letters.unsigned_abs(), published.dead_letters());
    published.ensure_applied(&client).await
}
