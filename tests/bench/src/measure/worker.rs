//! The apply worker, as it runs in production.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::apply::{PRESET, check_preset};
use super::staging::fill_inbox;
use crate::bench::Bench;
use crate::server::Database;
use crate::stopwatch::{Reading, Stopwatch};

/// Longest that the worker may take for what it was given.
const PATIENCE: Duration = Duration::from_secs(600);

/// Time between two looks at how far it is.
const INTERVAL: Duration = Duration::from_millis(1);

const APPLIED: &str = "select coalesce(sum(events), 0)::bigint from cdc.stream_progress";

/// What waits to be enriched.
const TO_ENRICH: &str = "
    select (exists (select from cdc.enrich_queue where error is null)
            or exists (select from cdc.enrich_backlog where error is null))::integer::bigint";

/// The corpus arrives in one transaction, so that the worker finds a full inbox.
pub(super) async fn run(bench: &Bench, batch: usize) -> anyhow::Result<Reading> {
    let server = bench.server_with_workers()?;
    let database = server.scratch(PRESET).await?;
    let watcher = server.another_session().await?;
    set_batch_size(&watcher, batch).await?;
    let worker = watcher.worker().await?;
    database.client.batch_execute("begin").await?;
    fill_inbox(&database, &bench.corpus.messages).await?;
    let stopwatch = Stopwatch::start_watching(&watcher, worker).await?;
    database.client.batch_execute("commit").await?;
    wait_for_applied(&watcher, bench.corpus.events()).await?;
    wait_for_enriched(&watcher).await?;
    let reading = stopwatch.stop(&watcher, bench.corpus.events()).await?;
    check_preset(&bench.published, &watcher).await?;
    Ok(reading)
}

/// Sets it for all workers.
pub(super) async fn set_batch_size(database: &Database, batch: usize) -> anyhow::Result<()> {
    let client = &database.client;
    client.execute(&format!("alter system set pg_cdc_ods.batch_size = {batch}"), &[]).await?;
    client.execute("select pg_reload_conf()", &[]).await?;
    Ok(())
}

/// Waits until so many events are applied in all.
pub(super) async fn wait_for_applied(database: &Database, events: u64) -> anyhow::Result<()> {
    wait(database, APPLIED, "events are applied", |applied| applied >= events).await
}

/// Waits until nothing waits to be enriched.
pub(super) async fn wait_for_enriched(database: &Database) -> anyhow::Result<()> {
    wait(database, TO_ENRICH, "enriched rows are made", |waiting| waiting == 0).await
}

async fn wait(
    database: &Database,
    sql: &str,
    what: &str,
    is_reached: impl Fn(u64) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let statement = database.client.prepare(sql).await?;
    loop {
        let found = database.client.query_one(&statement, &[]).await?.get::<_, i64>(0).unsigned_abs();
        if is_reached(found) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what} (now at {found})");
        sleep(INTERVAL).await;
    }
}
