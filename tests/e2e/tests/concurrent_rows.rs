//! Other sessions write to a target while changes of the same rows are applied: no change is lost or set aside for it.

use e2e::PATIENCE;
use harness::cluster::Cluster;
use harness::wait_until;
use tokio_postgres::Client;

/// The first order, which the other session writes to as well, and one that nobody else knows of.
const ORDERS: [i64; 2] = [1, 2];

async fn ingest(client: &Client, op: &str, scn: i64, status: &str) -> anyhow::Result<()> {
    for id in ORDERS {
        let payload = format!(
            r#"{{"op":"{op}","source":{{"scn":"{scn}"}},"after":{{"ORDER_ID":{id},"STATUS":"{status}","CUSTOMER_ID":1,
               "ORDER_DATE":null,"TOTAL_AMOUNT":null,"CREATED_AT":null,"UPDATED_AT":null}}}}"#
        );
        client.execute("select cdc.ingest('cdc/oracle/SALES/ORDERS/event', $1)", &[&payload]).await?;
    }
    Ok(())
}

/// Applies what waits while another session has written, and not yet committed, `theirs`. Returns what applying came to,
/// and the orders.
async fn apply_beside(cluster: &Cluster, client: Client, theirs: &str) -> anyhow::Result<(String, String)> {
    let (other, watching) = (cluster.connect("postgres").await?, cluster.connect("postgres").await?);
    other.batch_execute("begin").await?;
    other.batch_execute(theirs).await?;
    let applying = tokio::spawn(async move {
        let counts =
            "select format('upserted %s stale %s dead %s', upserted, stale, dead_lettered) from cdc.apply()";
        let counts = client.query_one(counts, &[]).await?.get(0);
        let orders =
            "select string_agg(format('%s %s', order_id, status), ', ' order by order_id) from cdc_orders";
        anyhow::Ok((counts, client.query_one(orders, &[]).await?.get(0)))
    });
    let waits = "select exists (select from pg_locks where not granted)";
    let is_waiting = async || Ok(watching.query_one(waits, &[]).await?.get::<_, bool>(0).then_some(()));
    wait_until(PATIENCE, "applying waits for the other session", is_waiting).await?;
    other.batch_execute("commit").await?;
    applying.await?
}

async fn database(cluster: &Cluster) -> anyhow::Result<Client> {
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    Ok(client)
}

fn told(counts: &str, orders: &str) -> (String, String) {
    (counts.to_owned(), orders.to_owned())
}

/// New orders come while the other session writes.
async fn insert_beside(theirs: &str) -> anyhow::Result<(String, String)> {
    let cluster = Cluster::start_without_workers()?;
    let client = database(&cluster).await?;
    ingest(&client, "c", 1, "ours").await?;
    apply_beside(&cluster, client, theirs).await
}

/// Orders that are there change while the other session writes.
async fn update_beside(theirs: &str) -> anyhow::Result<(String, String)> {
    let cluster = Cluster::start_without_workers()?;
    let client = database(&cluster).await?;
    ingest(&client, "c", 1, "before").await?;
    client.query("select * from cdc.apply()", &[]).await?;
    ingest(&client, "u", 2, "ours").await?;
    apply_beside(&cluster, client, theirs).await
}

#[tokio::test]
async fn a_row_that_comes_meanwhile_is_updated() -> anyhow::Result<()> {
    let outcome = insert_beside("insert into cdc_orders (order_id, status) values (1, 'theirs')").await?;
    assert_eq!(outcome, told("upserted 2 stale 0 dead 0", "1 ours, 2 ours"));
    Ok(())
}

#[tokio::test]
async fn a_newer_row_that_comes_meanwhile_stays() -> anyhow::Result<()> {
    let theirs = r"insert into cdc_orders (order_id, status, source_pos) values (1, 'newer', '\xff')";
    assert_eq!(insert_beside(theirs).await?, told("upserted 1 stale 1 dead 0", "1 newer, 2 ours"));
    Ok(())
}

#[tokio::test]
async fn a_row_that_goes_meanwhile_is_inserted() -> anyhow::Result<()> {
    let outcome = update_beside("delete from cdc_orders where order_id = 1").await?;
    assert_eq!(outcome, told("upserted 2 stale 0 dead 0", "1 ours, 2 ours"));
    Ok(())
}

#[tokio::test]
async fn a_row_that_is_changed_meanwhile_is_updated() -> anyhow::Result<()> {
    let outcome = update_beside("update cdc_orders set status = 'theirs' where order_id = 1").await?;
    assert_eq!(outcome, told("upserted 2 stale 0 dead 0", "1 ours, 2 ours"));
    Ok(())
}

#[tokio::test]
async fn a_row_that_becomes_newer_meanwhile_stays() -> anyhow::Result<()> {
    let theirs = r"update cdc_orders set status = 'newer', source_pos = '\xff' where order_id = 1";
    assert_eq!(update_beside(theirs).await?, told("upserted 1 stale 1 dead 0", "1 newer, 2 ours"));
    Ok(())
}
