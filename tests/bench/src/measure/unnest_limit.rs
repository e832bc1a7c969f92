//! What PostgreSQL can take at most: upserts of rows that lie in the server as typed arrays.

use super::sql_pipeline::{self, SCHEMA};
use crate::bench::Bench;
use crate::stopwatch::{Reading, Stopwatch};

const ARRAYS: &str = include_str!("../../sql/limit/arrays.sql");
const UPSERTS: &str = include_str!("../../sql/limit/upserts.sql");

/// One transaction for each batch.
pub(super) async fn run(bench: &Bench, batch: usize) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(SCHEMA).await?;
    sql_pipeline::stage(&database, bench).await?;
    database.client.batch_execute(&ARRAYS.replace("@batch@", &batch.to_string())).await?;
    database.client.batch_execute(UPSERTS).await?;
    let statement = database.client.prepare("select unnest_limit.upsert($1)").await?;
    let mut stopwatch = Stopwatch::start(&database).await?;
    for number in 0..bench.corpus.messages.len().div_ceil(batch) {
        database.client.query(&statement, &[&(number as i64)]).await?;
        stopwatch.lap();
    }
    let reading = stopwatch.stop(&database, bench.corpus.events()).await?;
    sql_pipeline::check_rows(bench, &database).await?;
    Ok(reading)
}
