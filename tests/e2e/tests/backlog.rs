//! A change that concerns very many enriched rows: the server may crash while it is worked off, and events go on.

use e2e::PATIENCE;
use harness::cluster::{Cluster, StopMode};
use harness::wait_until;
use tokio_postgres::Client;

const ORDERS: i32 = 20_000;

const SET_UP: &str = "
    create extension pg_cdc_ods;
    select cdc.install_preset('ecommerce');
    insert into cdc_products (product_id, name, category) values (5, 'Lamp', 'Home')";

const NOTHING_WAITS: &str = "
    select not exists (select from cdc.enrich_queue) and not exists (select from cdc.enrich_backlog)";

async fn fill(client: &Client) -> anyhow::Result<()> {
    client
        .batch_execute(&format!(
            "insert into cdc_order_items (item_id, order_id, product_id, subtotal)
                 select n, n, 5, 1 from generate_series(1, {ORDERS}) n;
             insert into cdc_orders (order_id, source_ts) select n, now() from generate_series(1, {ORDERS}) n"
        ))
        .await?;
    Ok(())
}

/// Asks again and again until the answer is true; the worker sends no event when it is done.
async fn wait_for(client: &Client, sql: &str) -> anyhow::Result<()> {
    let holds = async || Ok(client.query_one(sql, &[]).await?.get::<_, bool>(0).then_some(()));
    wait_until(PATIENCE, sql, holds).await
}

fn all_have_category(category: &str) -> String {
    format!(
        "select count(*) = {ORDERS} from cdc_orders_enriched
          where order_id <= {ORDERS} and product_categories = '{{{category}}}'"
    )
}

async fn assert_verified(client: &Client) -> anyhow::Result<()> {
    let sql = "select string_agg(d::text, e'\\n') from (
                   select left(v::text, 500) from cdc.verify('orders_enriched', 5) v
                   union all
                   select left(v::text, 500) from cdc.verify('order_aggregations', 5) v) d";
    assert_eq!(client.query_one(sql, &[]).await?.get::<_, Option<String>>(0), None);
    Ok(())
}

/// A change of all orders that is being worked off: half of it at most, until `hold` ends.
struct FanOut {
    client: Client,
    /// Has locked an enriched row in the middle, which the worker waits for when it comes there.
    hold: Client,
}

/// Begins to work off a change of all orders, and comes back when a part of it is done.
async fn begin(cluster: &Cluster) -> anyhow::Result<FanOut> {
    let client = cluster.connect("postgres").await?;
    client.batch_execute(SET_UP).await?;
    fill(&client).await?;
    wait_for(&client, &all_have_category("Home")).await?;
    wait_for(&client, NOTHING_WAITS).await?;
    client.batch_execute("alter system set pg_cdc_ods.enrich_step = 100").await?;
    // After a restart the worker has the setting, too.
    cluster.stop_server(StopMode::Fast)?;
    cluster.start_server()?;

    let (client, hold) = (cluster.connect("postgres").await?, cluster.connect("postgres").await?);
    let middle = format!("begin; select from cdc_orders_enriched where order_id = {} for update", ORDERS / 2);
    hold.batch_execute(&middle).await?;
    client.batch_execute("update cdc_products set category = 'Light'").await?;
    wait_for(&client, "select exists (select from cdc.enrich_backlog where last_key is not null)").await?;
    Ok(FanOut { client, hold })
}

#[tokio::test]
async fn a_server_that_crashes_while_a_fan_out_is_worked_off_goes_on_with_it() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let _fan_out = begin(&cluster).await?;

    cluster.stop_server(StopMode::Immediate)?;
    cluster.start_server()?;

    let client = cluster.connect("postgres").await?;
    wait_for(&client, &all_have_category("Light")).await?;
    wait_for(&client, NOTHING_WAITS).await?;
    assert_verified(&client).await
}

#[tokio::test]
async fn events_are_applied_while_a_fan_out_is_worked_off() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let FanOut { client, hold } = begin(&cluster).await?;

    let order = ORDERS + 1;
    let event = format!(r#"{{"op":"c","after":{{"ORDER_ID":{order}}},"source":{{"scn":"1"}}}}"#);
    client.query("select cdc.ingest('cdc/oracle/SALES/ORDERS/insert', $1)", &[&event]).await?;
    hold.batch_execute("commit").await?;

    wait_for(&client, &format!("select exists (select from cdc_orders_enriched where order_id = {order})"))
        .await?;
    wait_for(&client, &all_have_category("Light")).await?;
    wait_for(&client, NOTHING_WAITS).await?;
    let overtook = format!(
        "select max(processed_at) filter (where order_id = {order})
              < max(processed_at) filter (where order_id <= {ORDERS}) from cdc_orders_enriched"
    );
    assert!(
        client.query_one(&overtook, &[]).await?.get::<_, bool>(0),
        "the event has waited for the fan-out"
    );
    assert_verified(&client).await
}
