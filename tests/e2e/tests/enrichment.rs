//! Enriched orders and windows from outside: equal to their queries after shuffled events, and kept so by the worker.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{PATIENCE, Traffic};
use harness::cluster::Cluster;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tokio_postgres::Client;

const EVENTS: u64 = 50_000;
const SEED: u64 = 11;

/// Generated records, a JSON object each, in an order of no meaning.
fn shuffled_records(folder: &Path) -> anyhow::Result<Vec<String>> {
    let file = folder.join("events.ndjson");
    let faults = ["--drift", "0.15", "--duplicates", "0.05"];
    let traffic = Traffic { changes: Some(EVENTS), per_minute: 0, seed: SEED, faults: &faults };
    e2e::generate(&file, &traffic)?;
    let mut records: Vec<_> = std::fs::read_to_string(file)?.lines().map(str::to_owned).collect();
    records.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    Ok(records)
}

async fn differences(client: &Client) -> anyhow::Result<Option<String>> {
    let sql = "select string_agg(left(d::text, 500), e'\\n') from (
                   select 'orders' as of, v.* from cdc.verify('orders_enriched', 5) v
                   union all
                   select 'windows', v.* from cdc.verify('order_aggregations', 5) v) d";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[tokio::test]
async fn after_shuffled_events_enriched_orders_and_windows_equal_their_queries() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let records = shuffled_records(folder.path())?;
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    // Small enough for batches to depend on each other, and for customers to have more orders than a step takes.
    client.batch_execute("set pg_cdc_ods.batch_size = 1500; set pg_cdc_ods.enrich_step = 500").await?;
    e2e::stage(&client, &records).await?;

    client.query("select * from cdc.apply()", &[]).await?;

    assert_eq!(differences(&client).await?, None);
    let pending = "select count(*) from cdc.pending where reason <> 'missing'";
    assert_eq!(client.query_one(pending, &[]).await?.get::<_, i64>(0), 0);
    let counts = client
        .query_one(
            "select (select count(*) from cdc_orders), (select count(*) from cdc_orders_enriched),
                    (select count(*) from cdc_orders_enriched where complete), (select count(*) from cdc_order_aggregations)",
            &[],
        )
        .await?;
    let [orders, enriched, complete, windows] = [0, 1, 2, 3].map(|place| counts.get::<_, i64>(place));
    assert_eq!(enriched, orders);
    assert!(orders > 5000 && complete > 100 && windows > 20, "{orders} {complete} {windows}");
    Ok(())
}

#[tokio::test]
async fn the_worker_enriches_what_sessions_write_and_works_off_a_fan_out() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("alter system set pg_cdc_ods.enrich_step = 100").await?;
    client
        .batch_execute(
            "select pg_reload_conf(); create extension pg_cdc_ods; select cdc.install_preset('ecommerce');
             insert into cdc_products (product_id, name, category) values (5, 'Lamp', 'Home');
             insert into cdc_order_items (item_id, order_id, product_id, subtotal) select n, n, 5, 1 from generate_series(1, 1000) n;
             insert into cdc_orders (order_id, source_ts) select n, now() from generate_series(1, 1000) n",
        )
        .await?;
    let enriched = "select count(*) = 1000 from cdc_orders_enriched where product_categories = $1::text[]";
    wait_for(&client, enriched, "{Home}").await?;

    client.batch_execute("update cdc_products set category = 'Light'").await?;

    wait_for(&client, enriched, "{Light}").await?;
    assert_eq!(differences(&client).await?, None);
    Ok(())
}

/// Asks again and again until the answer is true; the worker sends no event when it is done.
async fn wait_for(client: &Client, sql: &str, categories: &str) -> anyhow::Result<()> {
    let sql = sql.replace("$1", &format!("'{categories}'"));
    let deadline = Instant::now() + PATIENCE;
    while !client.query_one(&sql, &[]).await?.get::<_, bool>(0) {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
