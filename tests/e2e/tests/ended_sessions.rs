//! A session that is ended while it applies takes nobody else with it, whatever its thread is busy with.

use e2e::PATIENCE;
use harness::cluster::Cluster;
use harness::wait_until;
use tokio_postgres::Client;

const NOTES: i64 = 20_000;

/// Small batches: one of them is always being prepared.
const SET_UP: &str = "
    create extension pg_cdc_ods;
    create table notes (id int primary key, text text) with (autovacuum_enabled = off);
    select cdc.attach('*.NOTES', 'notes');
    alter system set pg_cdc_ods.batch_size = 100;
    select pg_reload_conf()";

const FILL: &str = r#"
    insert into cdc.inbox (topic, payload)
    select 'cdc/oracle/SALES/NOTES/insert',
           convert_to(format('{"op":"c","source":{"scn":"%s"},"after":{"ID":%s,"TEXT":"%s"}}', n, n, repeat('x', 100)), 'UTF8')
      from generate_series(1, $1) n"#;

async fn size(client: &Client) -> anyhow::Result<i64> {
    Ok(client.query_one("select pg_relation_size('notes')", &[]).await?.get(0))
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_applies_harms_no_other() -> anyhow::Result<()> {
    let cluster = Cluster::start_without_workers()?;
    let client = cluster.connect("postgres").await?;
    for statement in SET_UP.split(';') {
        client.batch_execute(statement).await?;
    }
    client.execute(FILL, &[&(NOTES as i32)]).await?;
    // A session that is ended late waits for this one at its last row.
    let hold = cluster.connect("postgres").await?;
    hold.batch_execute(&format!("begin; insert into notes (id) values ({NOTES})")).await?;
    for pages in [1, 20, 50, 100] {
        let applying = cluster.connect("postgres").await?;
        let pid: i32 = applying.query_one("select pg_backend_pid()", &[]).await?.get(0);
        let before = size(&client).await?;
        let apply = tokio::spawn(async move { applying.execute("select cdc.apply()", &[]).await });
        let has_written = async || Ok((size(&client).await? >= before + 8192 * pages).then_some(()));
        wait_until(PATIENCE, "rows are written", has_written).await?;
        client.execute("select pg_terminate_backend($1, 60000)", &[&pid]).await?;
        assert!(apply.await?.is_err(), "it had ended before it was ended");
    }
    hold.batch_execute("rollback").await?;
    // This session would have been ended, too, if the server had restarted after a crash.
    let applied: i64 = client.query_one("select events from cdc.apply()", &[]).await?.get(0);
    let rows: i64 = client.query_one("select count(*) from notes", &[]).await?.get(0);
    assert_eq!((applied, rows), (NOTES, NOTES));
    Ok(())
}
