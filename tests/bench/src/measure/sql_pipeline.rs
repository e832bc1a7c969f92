//! The hand-written pipeline: upserts, enrichment and XML in SQL, without the extension.

use anyhow::ensure;
use bytes::Bytes;

use crate::bench::Bench;
use crate::copy;
use crate::server::Database;
use crate::stopwatch::{Reading, Stopwatch};

/// Its tables.
pub(super) const SCHEMA: &str = include_str!("../../sql/baseline/schema.sql");
const UPSERTS: &str = include_str!("../../sql/baseline/upserts.sql");
const APPLY: &str = include_str!("../../sql/baseline/apply.sql");

const COPY: &str = "copy baseline.staging from stdin";

/// What of it runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steps {
    /// Upserts, enriched orders, items from XML.
    All,
    /// Five keyed upserts.
    Upserts,
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input {
    /// It is copied in the transaction that applies it, and that counts.
    Copied,
    /// It is there.
    Staged,
}

impl Steps {
    fn statement(self) -> &'static str {
        match self {
            Self::All => "select baseline.apply($1, $2)",
            Self::Upserts => "select baseline.upsert($1, $2)",
        }
    }
}

/// One transaction for each batch.
pub(super) async fn run(bench: &Bench, steps: Steps, input: Input, batch: usize) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(&[SCHEMA, UPSERTS, APPLY].concat()).await?;
    let batches = batches(bench, input, batch);
    if let Input::Staged = input {
        stage(&database, bench).await?;
    }
    let statement = database.client.prepare(steps.statement()).await?;
    let mut stopwatch = Stopwatch::start(&database).await?;
    for (first, past, rows) in batches {
        match rows {
            Some(rows) => {
                database.client.batch_execute("begin").await?;
                copy::copy(&database.client, COPY, rows).await?;
                database.client.query(&statement, &[&first, &past]).await?;
                database.client.batch_execute("commit").await?;
            }
            None => drop(database.client.query(&statement, &[&first, &past]).await?),
        }
        stopwatch.lap();
    }
    let reading = stopwatch.stop(&database, bench.corpus.events()).await?;
    check(bench, &database, steps).await?;
    Ok(reading)
}

/// Number of the first message of each batch, that behind its last, and the rows if they are still to be copied.
fn batches(bench: &Bench, input: Input, batch: usize) -> Vec<(i64, i64, Option<Bytes>)> {
    let chunks = bench.corpus.messages.chunks(batch).enumerate();
    chunks
        .map(|(index, messages)| {
            let first = index * batch;
            let rows = matches!(input, Input::Copied).then(|| copy::numbered_text_rows(first, messages));
            (first as i64, (first + messages.len()) as i64, rows)
        })
        .collect()
}

/// Fills the numbered staging table, and lets the planner know it.
pub(super) async fn stage(database: &Database, bench: &Bench) -> anyhow::Result<()> {
    copy::copy(&database.client, COPY, copy::numbered_text_rows(0, &bench.corpus.messages)).await?;
    database.client.batch_execute("vacuum (analyze) baseline.staging").await?;
    Ok(())
}

/// A baseline that loses rows would be no baseline.
async fn check(bench: &Bench, database: &Database, steps: Steps) -> anyhow::Result<()> {
    check_rows(bench, database).await?;
    if let Steps::All = steps {
        let orders = database.count("select count(*) from baseline.orders where op <> 'd'").await?;
        let enriched = database.count("select count(*) from baseline.orders_enriched").await?;
        ensure!(enriched == orders, "the SQL pipeline has {enriched} enriched orders of {orders}");
    }
    Ok(())
}

/// That each table has as many live rows as it must.
pub(super) async fn check_rows(bench: &Bench, database: &Database) -> anyhow::Result<()> {
    for table in ["orders", "order_items", "customers", "products", "audit_log"] {
        let rows = database.count(&format!("select count(*) from baseline.{table} where op <> 'd'")).await?;
        let expected = bench.expected_rows(table);
        ensure!(rows == expected, "the SQL pipeline has {rows} rows in {table}, expected {expected}");
    }
    Ok(())
}
