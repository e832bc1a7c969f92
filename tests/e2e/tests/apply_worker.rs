//! The apply worker applies by itself, and comes back after its process was killed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::cluster::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;

/// More than a restart of the server with its recovery takes, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn ingest_orders(client: &Client, ids: std::ops::RangeInclusive<i32>) -> anyhow::Result<()> {
    let sql = "select cdc.ingest('cdc/oracle/SALES/ORDERS/insert',
        format('{\"op\":\"c\",\"after\":{\"ORDER_ID\":%s},\"source\":{\"scn\":\"%s\"}}', id, id))
        from generate_series($1::integer, $2::integer) as id";
    client.query(sql, &[ids.start(), ids.end()]).await?;
    Ok(())
}

/// Asks again and again until the answer to `sql` is true; statistics of another process send no event.
async fn wait_for(client: &Client, sql: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Connects again and again until the server has recovered.
async fn reconnect(cluster: &Cluster) -> anyhow::Result<Client> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match cluster.connect("shop").await {
            Ok(client) if client.query_one("select true", &[]).await.is_ok() => return Ok(client),
            Ok(_) => (),
            Err(error) => ensure!(Instant::now() < deadline, "no connection within {PATIENCE:?}: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const WORKER: &str =
    "select pid from cdc.stat_workers where database = current_database() and kind like 'apply%'";

#[tokio::test]
async fn the_worker_applies_what_arrives_and_survives_kill_and_drop_database() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let admin = cluster.connect("postgres").await?;
    admin.batch_execute("create database shop").await?;
    let client = cluster.connect("shop").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;

    ingest_orders(&client, 1..=100).await?;
    wait_for(&client, "select count(*) = 100 from cdc_orders").await?;

    let pid: i32 = client.query_one(WORKER, &[]).await?.get(0);
    ingest_orders(&client, 101..=200).await?;
    // A killed backend makes the server drop every connection and recover.
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    let client = reconnect(&cluster).await?;
    wait_for(&client, "select count(*) = 200 from cdc_orders").await?;
    ingest_orders(&client, 201..=300).await?;
    wait_for(&client, "select count(*) = 300 from cdc_orders").await?;
    wait_for(&client, "select sum(pending) = 0 from cdc.stat_streams").await?;

    drop(client);
    let admin = cluster.connect("postgres").await?;
    admin.batch_execute("drop database shop").await?;
    Ok(())
}
