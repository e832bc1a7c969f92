//! The inbox with several sessions: nothing is lost or applied twice, whatever the order of commits.

use harness::cluster::{Cluster, StopMode};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

async fn database(cluster: &Cluster) -> anyhow::Result<Client> {
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    Ok(client)
}

/// The same with settings of the extension.
async fn database_with(cluster: &Cluster, settings: &[(&str, &str)]) -> anyhow::Result<Client> {
    let client = database(cluster).await?;
    for (name, value) in settings {
        client.batch_execute(&format!("alter system set pg_cdc_ods.{name} = '{value}'")).await?;
    }
    client.batch_execute("select pg_reload_conf()").await?;
    cluster.connect("postgres").await
}

async fn ingest_order(client: &Client, id: i64) -> anyhow::Result<()> {
    let payload = format!(r#"{{"op":"c","after":{{"ORDER_ID":{id}}},"source":{{"scn":"{id}"}}}}"#);
    client.execute("select cdc.ingest('cdc/oracle/SALES/ORDERS/insert', $1)", &[&payload]).await?;
    Ok(())
}

async fn apply(client: &Client) -> anyhow::Result<i64> {
    Ok(client.query_one("select events from cdc.apply()", &[]).await?.get(0))
}

async fn order_ids(client: &Client) -> anyhow::Result<Vec<i64>> {
    let rows = client.query("select order_id from cdc_orders order by order_id", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_message_that_commits_late_is_applied_though_its_seq_is_lower() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let (applier, slow, quick) =
        (database(&cluster).await?, cluster.connect("postgres").await?, cluster.connect("postgres").await?);
    slow.batch_execute("begin").await?;
    ingest_order(&slow, 1).await?;
    ingest_order(&quick, 2).await?;

    assert_eq!(apply(&applier).await?, 1);
    assert_eq!(order_ids(&applier).await?, [2]);
    slow.batch_execute("commit").await?;
    assert_eq!(apply(&applier).await?, 1);
    assert_eq!(order_ids(&applier).await?, [1, 2]);
    assert_eq!(apply(&applier).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_session_may_apply_and_go_on_writing_in_one_transaction() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let (client, other) = (database(&cluster).await?, cluster.connect("postgres").await?);
    client.batch_execute("begin").await?;
    ingest_order(&client, 1).await?;
    ingest_order(&other, 2).await?;
    assert_eq!(apply(&client).await?, 2);
    ingest_order(&client, 3).await?;
    client.batch_execute("commit").await?;

    assert_eq!(apply(&other).await?, 1);
    assert_eq!(order_ids(&other).await?, [1, 2, 3]);
    Ok(())
}

#[tokio::test]
async fn what_is_rolled_back_has_not_happened() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let client = database(&cluster).await?;
    ingest_order(&client, 1).await?;
    client.batch_execute("begin").await?;
    ingest_order(&client, 2).await?;
    assert_eq!(apply(&client).await?, 2);
    client.batch_execute("rollback").await?;

    assert_eq!(order_ids(&client).await?, Vec::<i64>::new());
    assert_eq!(apply(&client).await?, 1);
    assert_eq!(order_ids(&client).await?, [1]);
    Ok(())
}

#[tokio::test]
async fn a_crash_of_the_server_loses_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let client = database(&cluster).await?;
    for id in 1..=20 {
        ingest_order(&client, id).await?;
    }
    client.query("select * from cdc.apply(7)", &[]).await?;
    cluster.stop_server(StopMode::Immediate)?;
    cluster.start_server()?;

    let client = cluster.connect("postgres").await?;
    client.query_one("select cdc.flush()", &[]).await?;
    assert_eq!(order_ids(&client).await?, (1..=20).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn the_inbox_is_emptied_by_truncation_without_losing_what_waits() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let client = database_with(&cluster, &[("inbox_rotation_size", "64kB")]).await?;
    let stage = "insert into cdc.inbox (topic, payload)
        select 'cdc/oracle/SALES/ORDERS/insert',
               convert_to(format('{\"op\":\"c\",\"after\":{\"ORDER_ID\":%s},\"source\":{\"scn\":\"%s\"}}', id, id), 'UTF8')
          from generate_series($1::bigint, $2::bigint) as id";
    for round in 0..8_i64 {
        client.execute(stage, &[&(round * 2000 + 1), &(round * 2000 + 2000)]).await?;
        assert_eq!(apply(&client).await?, 2000);
    }

    assert_eq!(order_ids(&client).await?.len(), 16_000);
    let bytes = "select sum(pg_relation_size(format('cdc.inbox_%s', slot)::regclass))::bigint from generate_series(0, 2) slot";
    let left: i64 = client.query_one(bytes, &[]).await?.get(0);
    // Each round stages some 400 kB; without truncation there would be over 3 MB.
    assert!(left < 1_500_000, "{left} bytes are left in the inbox");
    Ok(())
}

#[tokio::test]
async fn an_inbox_at_its_limit_takes_messages_again_when_those_in_it_are_applied() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let settings = [("inbox_rotation_size", "64kB"), ("inbox_limit", "1MB")];
    let client = database_with(&cluster, &settings).await?;
    // Most of it is stored apart from the rows.
    let stage = "insert into cdc.inbox (topic, payload)
        select 'cdc/oracle/SALES/ORDERS/insert',
               convert_to(format('{\"op\":\"c\",\"after\":{\"ORDER_ID\":%s,\"NOTE\":\"%s\"},\"source\":{\"scn\":\"%s\"}}',
                                 id, repeat('x', 5000), id), 'UTF8')
          from generate_series($1::bigint, $1::bigint + 99) as id";
    let mut staged = 0;
    let refused = loop {
        match client.execute(stage, &[&(staged + 1)]).await {
            Ok(_) => staged += 100,
            Err(error) => break error,
        }
        assert!(staged < 1000, "{staged} messages of 5 kB have been taken");
    };
    assert_eq!(refused.code(), Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED), "{refused:?}");

    assert_eq!(apply(&client).await?, staged);
    assert_eq!(apply(&client).await?, 0);
    client.execute(stage, &[&(staged + 1)]).await?;
    assert_eq!(apply(&client).await?, 100);
    assert_eq!(order_ids(&client).await?, (1..=staged + 100).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn what_comes_after_a_full_batch_is_applied_by_the_next_call() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let client = database(&cluster).await?;
    ingest_order(&client, 1).await?;
    let full = client.query_one("select events from cdc.apply(1)", &[]).await?;
    assert_eq!(full.get::<_, i64>(0), 1);
    ingest_order(&client, 2).await?;
    assert_eq!(apply(&client).await?, 1);
    assert_eq!(order_ids(&client).await?, [1, 2]);
    Ok(())
}
