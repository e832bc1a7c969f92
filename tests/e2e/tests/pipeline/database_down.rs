//! The server is away for a while, or does not get on: back-pressure, not memory.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{EVERY_FAULT, PATIENCE, Pipeline, Traffic};
use harness::cluster::StopMode;
use harness::process::ManagedProcess;

const OUTAGE: Duration = Duration::from_secs(10);

/// Time between two looks at the bridge during the outage.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// In ten seconds 15,000 messages, some 11 MB: if the bridge took them in, it would grow by more than that.
const PER_MINUTE: u32 = 90_000;

/// Messages that are published in the outage at least. It goes on until then where the generator does not keep its rate.
const MESSAGES_IN_OUTAGE: u64 = 5000;

/// What the bridge promises for one queue: see its manual.
const MAX_RSS_BYTES: u64 = 64 * 1024 * 1024;

/// By how much it may grow in the outage: one batch more, and what an allocator keeps.
const MAX_GROWTH_BYTES: u64 = 4 * 1024 * 1024;

/// The largest memory of the bridge during the outage, in bytes. `is_enough` says whether enough was published.
async fn watch_memory(bridge: &mut ManagedProcess, is_enough: impl Fn() -> bool) -> anyhow::Result<u64> {
    let (end, deadline) = (Instant::now() + OUTAGE, Instant::now() + PATIENCE);
    let mut largest = 0;
    while Instant::now() < end || !is_enough() {
        ensure!(Instant::now() < deadline, "the queue does not take what is published");
        bridge.ensure_running()?;
        largest = largest.max(bridge.rss_bytes()?);
        // The outage itself takes its time; there is no event to wait for.
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(largest)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_without_database_lose_nothing_and_the_bridge_stays_small() -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start().await? else { return Ok(()) };
    let mut bridge = pipeline.start_bridge()?;
    let traffic = Traffic { changes: None, per_minute: PER_MINUTE, seed: e2e::seed(), faults: &EVERY_FAULT };
    let generator = pipeline.start_generator(&traffic)?;
    pipeline.wait_for_staged(2000).await?;

    let before = bridge.rss_bytes()?;
    pipeline.cluster().stop_server(StopMode::Immediate)?;
    let queue_before = match pipeline.queue() {
        // A batch was refused, and nothing more is taken.
        Some(_) => Some(pipeline.wait_for_queue(|queue| queue.stopped_flows == 1)?),
        None => None,
    };
    let is_enough = || match (&queue_before, pipeline.queue()) {
        (Some(before), Some(now)) => now.depth > before.depth + MESSAGES_IN_OUTAGE,
        _ => true,
    };
    let largest = watch_memory(&mut bridge, is_enough).await?;
    let queue_after = pipeline.queue();
    pipeline.cluster().start_server()?;

    println!("bridge: {before} bytes before the outage, at most {largest} in it");
    ensure!(largest <= MAX_RSS_BYTES, "the bridge had {largest} bytes");
    ensure!(largest <= before + MAX_GROWTH_BYTES, "the bridge grew from {before} to {largest} bytes");
    if let (Some(before), Some(after)) = (queue_before, queue_after) {
        println!("queue: {} messages at the outage's start, {} at its end", before.depth, after.depth);
        // What was committed just before may be acknowledged just after.
        ensure!(
            after.acked <= before.acked + 1000,
            "acknowledged without a commit: {before:?}, then {after:?}"
        );
    }

    let published = generator.stop().await?;
    pipeline.ensure_all_arrives(bridge, &published).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_somebody_locks_loses_nothing_and_the_bridge_stays_small() -> anyhow::Result<()> {
    const MESSAGES: u64 = 15_000;
    let Some(pipeline) = Pipeline::start_with_hooks().await? else { return Ok(()) };
    let bridge = pipeline.start_bridge()?;
    let locker = pipeline.connect().await?;
    locker.batch_execute("begin; lock table cdc.inbox").await?;
    let traffic = Traffic { changes: Some(MESSAGES), per_minute: 0, seed: e2e::seed(), faults: &EVERY_FAULT };
    let published = pipeline.start_generator(&traffic)?.finish().await?;

    // The batch that waits for the lock, and what may pile up behind it.
    let queue = pipeline.wait_for_queue(|queue| queue.unacked > 5_000)?;
    let size = bridge.rss_bytes()?;
    println!("bridge: {} messages held, {size} bytes of memory", queue.unacked);
    ensure!(queue.acked == 0, "messages were acknowledged that are not committed");
    ensure!(queue.unacked < 8_000, "the bridge went on taking: {queue:?}");
    ensure!(size <= MAX_RSS_BYTES, "the bridge had {size} bytes");

    locker.batch_execute("commit").await?;
    pipeline.ensure_all_arrives(bridge, &published).await
}
