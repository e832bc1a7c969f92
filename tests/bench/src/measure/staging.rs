//! COPY: the messages as they are, into a text table and into the inbox.

use bytes::Bytes;

use super::sql_pipeline::SCHEMA;
use crate::bench::Bench;
use crate::copy::{self, BRIDGE_BATCH};
use crate::corpus::Message;
use crate::server::Database;
use crate::stopwatch::{Reading, Stopwatch};

const COPY: &str = "copy baseline.messages from stdin";
const EXTENSION: &str = "create extension pg_cdc_ods";

/// One session, one COPY: what all other measures are compared with.
pub(super) async fn copy(bench: &Bench) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(SCHEMA).await?;
    let rows = copy::text_rows(&bench.corpus.messages);
    let stopwatch = Stopwatch::start(&database).await?;
    copy::copy(&database.client, COPY, rows).await?;
    stopwatch.stop(&database, bench.corpus.events()).await
}

/// Batches of the bridge's size, each in a transaction.
pub(super) async fn inbox_copy(bench: &Bench) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(EXTENSION).await?;
    let batches = inbox_batches(&bench.corpus.messages);
    let mut stopwatch = Stopwatch::start(&database).await?;
    for rows in batches {
        copy::copy_to_inbox(&database.client, rows).await?;
        stopwatch.lap();
    }
    stopwatch.stop(&database, bench.corpus.events()).await
}

/// Fills the inbox as the bridge would.
pub(super) async fn fill_inbox(database: &Database, messages: &[Message]) -> anyhow::Result<()> {
    for rows in inbox_batches(messages) {
        copy::copy_to_inbox(&database.client, rows).await?;
    }
    Ok(())
}

fn inbox_batches(messages: &[Message]) -> Vec<Bytes> {
    messages.chunks(BRIDGE_BATCH).map(copy::inbox_rows).collect()
}
