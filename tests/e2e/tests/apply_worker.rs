//! The apply worker applies by itself, comes back whatever ends it, and is in nobody's way.

use std::ops::RangeInclusive;

use anyhow::ensure;
use e2e::PATIENCE;
use harness::cluster::Cluster;
use harness::wait_until;
use tokio_postgres::Client;

const SET_UP: &str = "create extension pg_cdc_ods; select cdc.install_preset('ecommerce')";

/// The views of the preset depend on the extension; its tables do not, and would keep their rows.
const DROP: &str = "drop extension pg_cdc_ods cascade; drop table cdc_orders";

const WORKER: &str = "select pid from cdc.stat_workers
    where kind = 'apply worker' and database = current_database() and pid is not null";

/// A cluster with the database `shop`, in which a worker applies.
async fn shop() -> anyhow::Result<(Cluster, Client)> {
    let cluster = Cluster::start()?;
    cluster.connect("postgres").await?.batch_execute("create database shop").await?;
    let client = cluster.connect("shop").await?;
    client.batch_execute(SET_UP).await?;
    Ok((cluster, client))
}

async fn ingest_orders(client: &Client, ids: RangeInclusive<i32>) -> anyhow::Result<()> {
    let sql = "select cdc.ingest('cdc/oracle/SALES/ORDERS/insert',
        format('{\"op\":\"c\",\"after\":{\"ORDER_ID\":%s},\"source\":{\"scn\":\"%s\"}}', id, id))
        from generate_series($1::integer, $2::integer) as id";
    client.query(sql, &[ids.start(), ids.end()]).await?;
    Ok(())
}

/// Waits until the answer to `sql` is true; another session's work sends no event.
async fn wait_for(client: &Client, sql: &str) -> anyhow::Result<()> {
    let holds = async || Ok(client.query_one(sql, &[]).await?.get::<_, bool>(0).then_some(()));
    wait_until(PATIENCE, sql, holds).await
}

/// Has the worker apply orders that nobody else applies.
async fn ensure_worker_applies(client: &Client, ids: RangeInclusive<i32>) -> anyhow::Result<()> {
    let applied = format!("select count(*) = {} from cdc_orders", ids.end());
    ingest_orders(client, ids).await?;
    wait_for(client, &applied).await?;
    wait_for(client, "select sum(pending) = 0 from cdc.stat_streams").await
}

async fn worker_pid(client: &Client) -> anyhow::Result<i32> {
    let pid = async || Ok(client.query_opt(WORKER, &[]).await?.map(|row| row.get(0)));
    wait_until(PATIENCE, "there is an apply worker", pid).await
}

/// Ends the only session in the database `shop`, and connects to another one when it has ended.
async fn leave(cluster: &Cluster, client: Client) -> anyhow::Result<Client> {
    drop(client);
    let admin = cluster.connect("postgres").await?;
    let ended = "select not exists (select from pg_stat_activity
                                     where datname = 'shop' and backend_type = 'client backend')";
    wait_for(&admin, ended).await?;
    Ok(admin)
}

/// Waits until the server has ended the sessions of before its crash, then connects as soon as it has recovered.
async fn reconnect(cluster: &Cluster, lost: &Client) -> anyhow::Result<Client> {
    let closed = async || Ok(lost.is_closed().then_some(()));
    wait_until(PATIENCE, "the server ends all sessions", closed).await?;
    let connected = async || Ok(cluster.connect("shop").await.ok());
    wait_until(PATIENCE, "the server takes connections", connected).await
}

#[tokio::test]
async fn a_worker_killed_with_its_server_is_back_after_recovery() -> anyhow::Result<()> {
    let (cluster, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let pid = worker_pid(&client).await?;
    ingest_orders(&client, 101..=200).await?;
    // A killed backend makes the server drop every connection and recover.
    cluster.kill_backend(pid)?;
    let client = reconnect(&cluster, &client).await?;
    wait_for(&client, "select count(*) = 200 from cdc_orders").await?;
    ensure_worker_applies(&client, 201..=300).await
}

#[tokio::test]
async fn a_worker_that_an_administrator_ends_is_started_again() -> anyhow::Result<()> {
    let (_cluster, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let pid = worker_pid(&client).await?;
    client.query_one("select pg_terminate_backend($1, 60000)", &[&pid]).await?;
    ensure_worker_applies(&client, 101..=200).await?;
    ensure!(worker_pid(&client).await? != pid, "the worker should be another process");
    wait_for(&client, "select restarts = 1 from cdc.stat_workers where database = 'shop'").await
}

#[tokio::test]
async fn drop_extension_ends_the_worker_and_create_extension_starts_another() -> anyhow::Result<()> {
    let (_cluster, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let pid = worker_pid(&client).await?;
    client.batch_execute(DROP).await?;
    wait_for(&client, &format!("select not exists (select from pg_stat_activity where pid = {pid})")).await?;
    client.batch_execute(SET_UP).await?;
    ensure_worker_applies(&client, 1..=100).await
}

#[tokio::test]
async fn an_extension_dropped_in_the_middle_of_a_batch_and_made_again_at_once_has_a_worker()
-> anyhow::Result<()> {
    let (_cluster, client) = shop().await?;
    for _ in 0..5 {
        ensure_worker_applies(&client, 1..=100).await?;
        // The worker is at them when the extension goes, and may still be there when it comes again.
        ingest_orders(&client, 101..=1000).await?;
        client.batch_execute(DROP).await?;
        client.batch_execute(SET_UP).await?;
    }
    ensure_worker_applies(&client, 1..=100).await
}

#[tokio::test]
async fn a_database_with_a_running_worker_can_be_renamed_and_goes_on() -> anyhow::Result<()> {
    let (cluster, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let admin = leave(&cluster, client).await?;
    admin.batch_execute("alter database shop rename to store").await?;
    ensure_worker_applies(&cluster.connect("store").await?, 101..=200).await
}

#[tokio::test]
async fn a_database_with_a_running_worker_can_be_dropped_and_made_again() -> anyhow::Result<()> {
    let (cluster, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let admin = leave(&cluster, client).await?;
    admin.batch_execute("drop database shop").await?;
    admin.batch_execute("create database shop").await?;
    let client = cluster.connect("shop").await?;
    client.batch_execute(SET_UP).await?;
    ensure_worker_applies(&client, 1..=100).await
}

#[tokio::test]
async fn a_stand_by_is_left_alone_until_it_is_promoted() -> anyhow::Result<()> {
    let (primary, client) = shop().await?;
    ensure_worker_applies(&client, 1..=100).await?;
    let stand_by = primary.start_standby()?;
    let reader = stand_by.connect("shop").await?;
    ensure_worker_applies(&client, 101..=200).await?;
    wait_for(&reader, "select count(*) = 200 from cdc_orders").await?;
    let workers: i64 = reader.query_one("select count(*) from cdc.stat_workers", &[]).await?.get(0);
    ensure!(workers == 0, "{workers} workers run on a stand-by");
    let complaints: Vec<_> = stand_by
        .log()?
        .lines()
        .filter(|line| ["ERROR", "FATAL", "PANIC"].iter().any(|level| line.contains(level)))
        .map(str::to_owned)
        .collect();
    ensure!(complaints.is_empty(), "the stand-by complains:\n{}", complaints.join("\n"));

    drop((client, primary));
    reader.query_one("select pg_promote()", &[]).await?;
    ensure_worker_applies(&reader, 201..=300).await
}
