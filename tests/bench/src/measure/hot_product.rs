//! Whether a change that concerns very many rows delays the events behind it: batches arrive one after another at the
//! apply worker, and meanwhile the name of a product changes that all orders of a store have in common.

use anyhow::ensure;
use serde_json::json;

use super::apply::{DEFAULT_BATCH, PRESET};
use super::store::{FIRST_KEY, fill};
use super::worker::{set_batch_size, wait_for_applied, wait_for_enriched};
use crate::bench::Bench;
use crate::copy;
use crate::corpus::Message;
use crate::event;
use crate::stopwatch::{Reading, Stopwatch};

/// The batch behind which the product changes: an early one, so that most are applied beside its consequences.
const CHANGE_AFTER: usize = 0;

const NEW_NAME: &str = "Renamed";

/// A lap is the time from the COPY of a batch until it is applied.
pub(super) async fn run(bench: &Bench, changes: bool) -> anyhow::Result<Reading> {
    let server = bench.server_with_workers()?;
    let database = server.scratch(PRESET).await?;
    fill(&database, bench.extent.orders_of_hot_product, 1).await?;
    database.client.batch_execute("analyze").await?;
    set_batch_size(&database, DEFAULT_BATCH).await?;
    let worker = database.worker().await?;
    let mut stopwatch = Stopwatch::start_watching(&database, worker).await?;
    let mut applied = 0;
    for (index, messages) in bench.corpus.messages.chunks(DEFAULT_BATCH).enumerate() {
        copy::copy_to_inbox(&database.client, copy::inbox_rows(messages)).await?;
        applied += messages.len() as u64;
        wait_for_applied(&database, applied).await?;
        stopwatch.lap();
        if changes && index == CHANGE_AFTER {
            copy::copy_to_inbox(&database.client, copy::inbox_rows(&[renaming()])).await?;
            applied += 1;
        }
    }
    wait_for_enriched(&database).await?;
    let reading = stopwatch.stop(&database, applied).await?;
    let renamed = format!("select count(*) from cdc_orders_enriched where product_names = '{{{NEW_NAME}}}'");
    let (renamed, expected) =
        (database.count(&renamed).await?, if changes { bench.extent.orders_of_hot_product } else { 0 });
    ensure!(
        renamed == expected,
        "{renamed} enriched orders have the product's new name, expected {expected}"
    );
    Ok(reading)
}

fn renaming() -> Message {
    let row = json!({
        "PRODUCT_ID": FIRST_KEY, "NAME": NEW_NAME, "CATEGORY": "Category 0", "PRICE": 10.00, "STOCK_QUANTITY": 100,
        "STATUS": "ACTIVE"
    });
    event::newest("PRODUCTS", "update", &row)
}
