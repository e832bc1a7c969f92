//! Random histories in a real server: delivered shuffled, doubled and in random batches they end in the same tables as
//! applied one by one and in order, child rows of XML documents included.

mod history;
mod table;

use anyhow::ensure;
use harness::cluster::Cluster;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio_postgres::Client;

use history::{Event, history};
use table::Table;

/// Enough to meet every pair of operations on one key many times.
const HISTORIES: u64 = 200;

/// Copies of a message, at most.
const COPIES: usize = 2;

/// Puts the events of `places` into the inbox, in this order.
async fn ingest(client: &Client, table: &Table, events: &[Event], places: &[usize]) -> anyhow::Result<()> {
    let payloads: Vec<String> = places.iter().map(|&place| events[place].payload(table, place)).collect();
    let ingest = "select cdc.ingest($1, payload) from unnest($2::text[]) as payload";
    client.query(ingest, &[&table.topic(), &payloads]).await?;
    Ok(())
}

/// Applies all that waits, in batches of these sizes.
async fn apply(client: &Client, mut sizes: impl FnMut() -> i32) -> anyhow::Result<()> {
    while client.query_one("select events from cdc.apply($1)", &[&sizes()]).await?.get::<_, i64>(0) > 0 {}
    Ok(())
}

/// Every place of a history at least once, shuffled.
fn delivery(rng: &mut impl Rng, events: usize) -> Vec<usize> {
    let mut places: Vec<usize> =
        (0..events).flat_map(|place| vec![place; rng.random_range(1..=COPIES)]).collect();
    places.shuffle(rng);
    places
}

async fn try_history(client: &Client, seed: u64) -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let in_order = Table::any(&mut rng, "in_order");
    let shuffled = in_order.named("shuffled");
    let events = history(&mut rng, &in_order);
    for table in [&in_order, &shuffled] {
        client.batch_execute(&table.create()).await?;
    }

    ingest(client, &in_order, &events, &(0..events.len()).collect::<Vec<_>>()).await?;
    apply(client, || 1).await?;
    let places = delivery(&mut rng, events.len());
    ingest(client, &shuffled, &events, &places).await?;
    let mut sizes = Vec::new();
    apply(client, || {
        sizes.push(rng.random_range(1..=6));
        sizes[sizes.len() - 1]
    })
    .await?;

    let (expected, found) = (in_order.content(client).await?, shuffled.content(client).await?);
    let history = || {
        let lines = events.iter().enumerate().map(|(place, event)| event.payload(&in_order, place));
        lines.collect::<Vec<_>>().join("\n")
    };
    ensure!(
        expected == found,
        "{}\nhistory:\n{}\ndelivered as {places:?} in batches of {sizes:?}\nin order: {expected}\nshuffled: {found}",
        in_order.create(),
        history(),
    );
    for table in [&in_order, &shuffled] {
        client.batch_execute(&table.drop()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn any_delivery_ends_as_the_history_in_order() -> anyhow::Result<()> {
    let seed = e2e::seed();
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods").await?;
    for history in 0..HISTORIES {
        let seed = seed.wrapping_add(history);
        if let Err(error) = try_history(&client, seed).await {
            anyhow::bail!("with PG_CDC_ODS_TEST_SEED={seed}: {error:#}");
        }
    }
    Ok(())
}
