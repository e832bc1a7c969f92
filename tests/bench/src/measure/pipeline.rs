//! Broker, bridge and apply worker together, on the machine that they all share.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::broker::Broker;
use harness::generator::{Generator, Summary};
use harness::histogram::Histogram;
use harness::process::ManagedProcess;
use harness::{Published, bridge, paths, wait_until};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::sleep;

use super::apply::{DEFAULT_BATCH, PRESET, check_derived, check_preset};
use super::worker::{set_batch_size, wait_for_enriched};
use crate::bench::Bench;
use crate::flow::{FlowReading, Latency, Watch, Watched};
use crate::round::Round;
use crate::server::{Database, Server};
use crate::stopwatch::{Reading, Stopwatch};

/// The measure that tells the highest rate.
pub(super) const HIGHEST_RATE: &str = "broker_to_applied";

/// Longest that publishing, applying or draining may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time between two looks at queue and inbox.
const INTERVAL: Duration = Duration::from_millis(100);

/// Messages are sent for this long before their latency counts: the first ones find a server that has cached nothing.
const WARM_UP: Duration = Duration::from_secs(2);

/// The queue has room for all that the bridge has not taken.
const BROKER_OPTIONS: [&str; 2] = ["--spool-bytes", "4294967296"];

const APPLIED: &str = "select coalesce(sum(events), 0)::bigint from cdc.stream_progress";

/// How fast messages are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    EventsPerMinute(u32),
    /// A share of the rate that [`from_queue`] has found.
    OfHighest(f64),
}

/// Messages that lie on their way.
#[derive(Debug, Clone, Copy, Default)]
struct Depths {
    queue: u64,
    inbox: u64,
}

/// The pieces of one measure; the generator comes and goes.
struct Pipeline<'a> {
    bridge: Option<ManagedProcess>,
    broker: Broker,
    server: &'a Server,
    database: Database,
    worker: Pid,
    /// Output of the processes.
    folder: TempDir,
}

/// The queue holds the corpus, then the bridge is started.
pub(super) async fn from_queue(bench: &Bench) -> anyhow::Result<Reading> {
    let mut pipeline = Pipeline::start(bench).await?;
    let published = pipeline.fill_queue(bench).await?;
    let mut watch = pipeline.watch()?;
    let stopwatch = Stopwatch::start_watching(&pipeline.database, pipeline.worker).await?;
    pipeline.start_bridge(&mut watch).await?;
    pipeline.wait_for_applied(published.messages()).await?;
    let reading = stopwatch.stop(&pipeline.database, published.messages()).await?;
    let flow = FlowReading {
        deepest_queue: published.messages(),
        processes: watch.stop()?,
        ..FlowReading::default()
    };
    check_preset(&published, &pipeline.database).await?;
    pipeline.stop()?;
    Ok(Reading { flow: Some(flow), ..reading })
}

/// Messages are sent at a pace while they are applied.
pub(super) async fn at_pace(bench: &Bench, round: &Round, pace: Pace) -> anyhow::Result<Reading> {
    let per_minute = pace.events_per_minute(bench, round).await?;
    let mut pipeline = Pipeline::start(bench).await?;
    let mut watch = pipeline.watch()?;
    pipeline.start_bridge(&mut watch).await?;
    let stopwatch = Stopwatch::start_watching(&pipeline.database, pipeline.worker).await?;
    let options = generator_options(bench, &["--rate", &per_minute.to_string()]);
    let mut generator = Generator::start(&mut pipeline.broker, &options, pipeline.folder.path()).await?;
    let started = Instant::now();
    let watched_generator = Watched::start(generator.process().pid())?;
    pipeline.look_for(WARM_UP).await?;
    let before = pipeline.database.latency().await?;
    let deepest = pipeline.look_for(bench.extent.paced_for).await?;
    let generator_reading = watched_generator.stop()?;
    let (summary, published_for) = (pipeline.end(generator).await?, started.elapsed());
    pipeline.wait_for_applied(summary.published).await?;
    let reading = stopwatch.stop(&pipeline.database, summary.published).await?;
    let seconds = started.elapsed().as_secs_f64();
    let mut processes = watch.stop()?;
    processes.insert("generator", generator_reading);
    let flow = FlowReading {
        latency: Latency::of(&pipeline.latency_of(summary.published).await?.since(&before)),
        sent_per_second: Some(summary.published as f64 / published_for.as_secs_f64()),
        deepest_queue: deepest.queue,
        deepest_inbox: Some(deepest.inbox),
        drain_seconds: Some(seconds - published_for.as_secs_f64()),
        processes,
    };
    pipeline.check(summary).await?;
    pipeline.stop()?;
    Ok(Reading { seconds, flow: Some(flow), ..reading })
}

impl Pace {
    async fn events_per_minute(self, bench: &Bench, round: &Round) -> anyhow::Result<u32> {
        let share = match self {
            Self::EventsPerMinute(events) => return Ok(events),
            Self::OfHighest(share) => share,
        };
        let highest = match round.get(HIGHEST_RATE) {
            Some(reading) => reading.events_per_second(),
            None => from_queue(bench).await?.events_per_second(),
        };
        Ok((highest * 60.0 * share) as u32)
    }
}

impl<'a> Pipeline<'a> {
    /// Starts all but the bridge, over empty tables.
    async fn start(bench: &'a Bench) -> anyhow::Result<Self> {
        let server = bench.server_with_workers()?;
        let database = server.scratch(PRESET).await?;
        set_batch_size(&database, DEFAULT_BATCH).await?;
        let worker = database.worker().await?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(paths::run_root()?)?;
        let broker = Broker::start(folder.path(), &BROKER_OPTIONS).await?;
        Ok(Self { bridge: None, broker, server, database, worker, folder })
    }

    /// Has the generator publish the changes of the corpus; they lie in the queue then.
    async fn fill_queue(&mut self, bench: &Bench) -> anyhow::Result<Published> {
        let record: PathBuf = self.folder.path().join("published.ndjson");
        let count = bench.corpus.events().to_string();
        let record_option = record.to_string_lossy();
        let options =
            generator_options(bench, &["--rate", "0", "--count", &count, "--record", &record_option]);
        let generator = Generator::start(&mut self.broker, &options, self.folder.path()).await?;
        let summary = wait_for_summary(generator).await?;
        ensure!(summary.acked == bench.corpus.events(), "the broker has taken {} messages", summary.acked);
        Published::read(&record)
    }

    fn watch(&mut self) -> anyhow::Result<Watch> {
        let mut watch = Watch::default();
        watch.add("broker", self.broker.process().pid())?;
        watch.add("apply worker", self.worker)?;
        Ok(watch)
    }

    async fn start_bridge(&mut self, watch: &mut Watch) -> anyhow::Result<()> {
        let destination = self.server.destination().await?;
        let bridge = bridge::start(&mut self.broker, destination, self.folder.path()).await?;
        watch.add("bridge", bridge.pid())?;
        self.bridge = Some(bridge);
        watch.add("session", self.database.session_of_bridge().await?)
    }

    /// Looks for a while at what lies in queue and inbox; returns the most of each.
    async fn look_for(&mut self, duration: Duration) -> anyhow::Result<Depths> {
        let (started, mut deepest) = (Instant::now(), Depths::default());
        while started.elapsed() < duration {
            self.bridge.as_mut().context("no bridge runs")?.ensure_running()?;
            let applied = self.database.count(APPLIED).await?;
            let queue = self.broker.stats().await?.queue;
            deepest.queue = deepest.queue.max(queue.depth);
            // Asked later, the broker may know of messages that have been applied since.
            deepest.inbox = deepest.inbox.max(queue.acked.saturating_sub(applied));
            sleep(INTERVAL.min(duration.saturating_sub(started.elapsed()))).await;
        }
        Ok(deepest)
    }

    /// Ends publishing.
    async fn end(&mut self, generator: Generator) -> anyhow::Result<Summary> {
        generator.stop()?;
        wait_for_summary(generator).await
    }

    /// Waits until so many messages are applied, and what was to be enriched is.
    async fn wait_for_applied(&mut self, messages: u64) -> anyhow::Result<()> {
        let bridge = self.bridge.as_mut().context("no bridge runs")?;
        let database = &self.database;
        wait_until(PATIENCE, "all messages are applied", async || {
            bridge.ensure_running()?;
            Ok((database.count(APPLIED).await? >= messages).then_some(()))
        })
        .await?;
        wait_for_enriched(&self.database).await
    }

    /// The latencies, once all messages are counted: that happens a moment after their commit.
    async fn latency_of(&self, messages: u64) -> anyhow::Result<Histogram> {
        wait_until(PATIENCE, "all messages are counted", async || {
            let latency = self.database.latency().await?;
            Ok((latency.total() >= messages).then_some(latency))
        })
        .await
    }

    /// That nothing was lost or set aside.
    async fn check(&self, summary: Summary) -> anyhow::Result<()> {
        ensure!(summary.rejected == 0, "the broker refused {} messages", summary.rejected);
        let applied = self.database.count(APPLIED).await?;
        ensure!(applied == summary.published, "{applied} messages applied of {}", summary.published);
        let dead_letters = self.database.count("select count(*) from cdc.dlq").await?;
        ensure!(dead_letters == 0, "{dead_letters} messages became dead letters");
        check_derived(&self.database).await
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let mut bridge = self.bridge.take().context("no bridge runs")?;
        let status = bridge.terminate(PATIENCE)?;
        ensure!(status.success(), "the bridge has ended with {status}\n{}", bridge.log_tail());
        self.broker.stop()
    }
}

fn generator_options(bench: &Bench, own: &[&str]) -> Vec<String> {
    let seed = bench.corpus.description.seed.to_string();
    own.iter().copied().chain(["--seed", &seed]).map(str::to_owned).collect()
}

async fn wait_for_summary(mut generator: Generator) -> anyhow::Result<Summary> {
    wait_until(PATIENCE, "the generator ends", async || generator.summary()).await
}
