//! `cdc.stat_latency` counts every message that the worker applied, from its sending to the commit.

use std::time::Duration;

use harness::cluster::Cluster;
use harness::wait_until;

/// More than the worker needs to start, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_message_sent_an_hour_ago_counts_as_an_hour() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods").await?;
    let empty = client.query_one("select events, p50_ms from cdc.stat_latency", &[]).await?;
    assert_eq!((empty.get::<_, i64>(0), empty.get::<_, Option<f64>>(1)), (0, None));

    // A heartbeat needs no target.
    let ingest = "insert into cdc.inbox (topic, payload, sent_at)
        select 'heartbeat', '{\"ts_ms\":1}', now() - case when n = 1 then interval '1 hour' else interval '1 ms' end
        from generate_series(1, 200) as n";
    client.execute(ingest, &[]).await?;
    let figures = "select p50_ms, p99_ms, max_ms from cdc.stat_latency where events = 200";
    let figures =
        wait_until(PATIENCE, "200 messages are counted", async || Ok(client.query_opt(figures, &[]).await?))
            .await?;
    let hour_ms = 3_600_000.0;
    let (p50, p99, max) = (figures.get::<_, f64>(0), figures.get::<_, f64>(1), figures.get::<_, f64>(2));
    assert!((1.0..hour_ms).contains(&p50) && p99 < hour_ms, "p50 {p50}, p99 {p99}");
    assert!((hour_ms..1.2 * hour_ms).contains(&max), "max {max}");
    Ok(())
}
