//! `cdc.apply()` over a full inbox, in one session.

use anyhow::{Context, ensure};
use harness::Published;

use super::staging::fill_inbox;
use crate::bench::Bench;
use crate::server::Database;
use crate::stopwatch::{Reading, Stopwatch};

/// The whole preset, alerts included.
pub(super) const PRESET: &str = include_str!("../../sql/preset.sql");
const UPSERTS_ONLY: &str = include_str!("../../sql/upserts_only.sql");
/// Beside the upserts.
const SAME_WORK: &str = include_str!("../../sql/same_work.sql");

/// Beside the five of the preset.
const MORE_SOURCES: &str = "
    do $$ begin
        for i in 6..200 loop
            execute format('create table source_%s (id bigint primary key, name text, amount numeric(15,2))', i);
            perform cdc.attach(format('*.SOURCE_%s', i), format('source_%s', i));
        end loop;
    end $$";

/// The batch of measures that say nothing else: the setting's default.
pub(super) const DEFAULT_BATCH: usize = 10_000;

/// What is done with an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Features {
    /// All that the preset does.
    Preset,
    /// What the hand-written pipeline does.
    SameWork,
    /// A row in a table.
    UpsertsOnly,
}

/// How it is called.
#[derive(Debug, Clone, Copy)]
pub(super) enum Calls {
    /// Once for all that waits: one transaction.
    One,
    /// Once for each batch, each a transaction.
    OneForEachBatch,
}

/// The corpus, applied.
pub(super) async fn run(
    bench: &Bench,
    features: Features,
    calls: Calls,
    batch: usize,
) -> anyhow::Result<Reading> {
    let setup = match features {
        Features::Preset => PRESET.to_owned(),
        Features::SameWork => format!("{UPSERTS_ONLY}; {SAME_WORK}"),
        Features::UpsertsOnly => UPSERTS_ONLY.to_owned(),
    };
    let database = bench.server.scratch(&setup).await?;
    let reading = fill_and_apply(bench, &database, calls, batch).await?;
    match features {
        Features::Preset => check_preset(&bench.published, &database).await?,
        Features::SameWork => {
            check_upserts(bench, &database).await?;
            check_same_work(bench, &database).await?;
        }
        Features::UpsertsOnly => check_upserts(bench, &database).await?,
    }
    Ok(reading)
}

/// The corpus, applied with 200 sources attached.
pub(super) async fn with_many_sources(bench: &Bench) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(&format!("{PRESET}; {MORE_SOURCES}")).await?;
    let reading = fill_and_apply(bench, &database, Calls::OneForEachBatch, DEFAULT_BATCH).await?;
    check_preset(&bench.published, &database).await?;
    Ok(reading)
}

/// Fills the inbox, then applies it. What a batch leaves for later because it concerns very many rows is worked off in the
/// end, and counts.
pub(super) async fn fill_and_apply(
    bench: &Bench,
    database: &Database,
    calls: Calls,
    batch: usize,
) -> anyhow::Result<Reading> {
    fill_inbox(database, &bench.corpus.messages).await?;
    let (client, events) = (&database.client, bench.corpus.events());
    client.batch_execute(&format!("set pg_cdc_ods.batch_size = {batch}")).await?;
    let max_events = match calls {
        Calls::One => None,
        Calls::OneForEachBatch => Some(i32::try_from(batch)?),
    };
    let apply = client.prepare("select events, dead_lettered from cdc.apply($1)").await?;
    let mut stopwatch = Stopwatch::start(database).await?;
    let mut applied = 0;
    while applied < events {
        let row = client.query_one(&apply, &[&max_events]).await.context("cannot apply")?;
        if max_events.is_some() {
            stopwatch.lap();
        }
        let [of_call, dead_lettered] = [0, 1].map(|column| row.get::<_, i64>(column).unsigned_abs());
        ensure!(of_call > 0, "only {applied} of {events} events were applied");
        ensure!(dead_lettered == 0, "{dead_lettered} events became dead letters");
        applied += of_call;
    }
    client.execute("select cdc.apply()", &[]).await.context("cannot work off what is left")?;
    stopwatch.stop(database, events).await
}

/// That the tables hold what the reference model says, enriched orders and windows what their queries give, and that the
/// alerts took part.
pub(super) async fn check_preset(published: &Published, database: &Database) -> anyhow::Result<()> {
    published.ensure_applied(&database.client).await?;
    check_derived(database).await?;
    let alerts = database.count("select count(*) from cdc.outbox").await?;
    ensure!(alerts > 0, "no alert was raised");
    Ok(())
}

/// That enriched orders and windows hold what their queries give.
pub(super) async fn check_derived(database: &Database) -> anyhow::Result<()> {
    verify(database, "orders_enriched").await?;
    verify(database, "order_aggregations").await
}

async fn verify(database: &Database, name: &str) -> anyhow::Result<()> {
    let differences = database.count(&format!("select count(*) from cdc.verify('{name}')")).await?;
    ensure!(differences == 0, "{name} differs from its query in {differences} rows");
    Ok(())
}

async fn check_same_work(bench: &Bench, database: &Database) -> anyhow::Result<()> {
    verify(database, "orders_enriched").await?;
    let rows = database.count("select count(*) from items_extracted").await?;
    let expected = bench.published.child_rows("cdc_order_items_extracted");
    ensure!(rows == expected, "{rows} items were extracted, expected {expected}");
    Ok(())
}

async fn check_upserts(bench: &Bench, database: &Database) -> anyhow::Result<()> {
    for table in ["orders", "order_items", "customers", "products", "audit_log"] {
        let rows = database.count(&format!("select count(*) from {table}")).await?;
        let expected = bench.expected_rows(table);
        ensure!(rows == expected, "{table} has {rows} rows, expected {expected}");
    }
    Ok(())
}
