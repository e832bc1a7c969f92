//! Whether cost grows with the work or with the store: the corpus, applied to tables that hold many rows already.

use anyhow::{Context, ensure};
use harness::paths;
use nix::sys::statvfs::statvfs;

use super::apply::{Calls, DEFAULT_BATCH, PRESET, fill_and_apply};
use crate::bench::Bench;
use crate::server::Database;
use crate::stopwatch::Reading;

const DATABASE: &str = "grown_store";
const FILL: &str = include_str!("../../sql/store.sql");
const RESET: &str = include_str!("../../sql/store_reset.sql");

/// The key from which on rows are those of the store.
pub(super) const FIRST_KEY: i64 = 1_000_000_000;

/// Products of the store.
const PRODUCTS: i64 = 10_000;

/// Disk that an order takes with all that belongs to it.
const BYTES_OF_AN_ORDER: u64 = 700;

/// What the log may take with `max_wal_size` at its default, amply.
const BYTES_OF_THE_LOG: u64 = 2_000_000_000;

/// Fills the store in the first round; later ones find it as the first did.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Reading> {
    let database = match bench.server.lasting(DATABASE).await? {
        Some(database) => {
            database.client.batch_execute(RESET).await.context("cannot reset the store")?;
            database
        }
        None => {
            ensure_room(bench.extent.stored_orders)?;
            let database = bench.server.create(DATABASE, PRESET).await?;
            fill(&database, bench.extent.stored_orders, PRODUCTS).await?;
            database
        }
    };
    // As autovacuum would in time.
    database.client.batch_execute("vacuum (analyze)").await?;
    let reading = fill_and_apply(bench, &database, Calls::OneForEachBatch, DEFAULT_BATCH).await?;
    check(bench, &database).await?;
    Ok(reading)
}

/// Fails in time, rather than when the disk is full.
fn ensure_room(orders: u64) -> anyhow::Result<()> {
    let file_system = statvfs(&paths::run_root()?)?;
    let free = file_system.blocks_available() * file_system.fragment_size();
    let needed = orders * BYTES_OF_AN_ORDER + BYTES_OF_THE_LOG;
    ensure!(
        free >= needed,
        "a store of {orders} orders needs {:.0} GB of disk, and {:.0} are free: ask for fewer with --stored-orders",
        needed as f64 / 1e9,
        free as f64 / 1e9
    );
    Ok(())
}

/// Puts orders, their items, customers, products and enriched rows into the tables of the preset.
pub(super) async fn fill(database: &Database, orders: u64, products: i64) -> anyhow::Result<()> {
    database.client.batch_execute(FILL).await?;
    let orders = i64::try_from(orders)?;
    database
        .client
        .execute("select fill_store($1, $2)", &[&orders, &products])
        .await
        .context("cannot fill the store")?;
    Ok(())
}

async fn check(bench: &Bench, database: &Database) -> anyhow::Result<()> {
    for (table, key) in [("orders", "order_id"), ("order_items", "item_id")] {
        let rows =
            database.count(&format!("select count(*) from cdc_{table} where {key} < {FIRST_KEY}")).await?;
        let expected = bench.expected_rows(table);
        ensure!(rows == expected, "cdc_{table} has {rows} new rows, expected {expected}");
    }
    Ok(())
}
