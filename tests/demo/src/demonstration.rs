//! The course of a demonstration: start, show, stop publishing, let everything be applied, make the account.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use harness::generator::Summary;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::account::Account;
use crate::args::Args;
use crate::database::psql_command;
use crate::display::Display;
use crate::history::History;
use crate::pieces::Pieces;
use crate::rate::Rate;
use crate::sampler::{Sample, Sampler};
use crate::screen::{Order, Phase, View};
use crate::stop_requests::StopRequests;
use crate::throttle::{self, Acknowledgements};

/// Time between two pictures.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks at the end, where the user waits.
const INTERVAL_AT_END: Duration = Duration::from_millis(200);

/// Longest that the generator may take to end; it gives up by itself after 30 s.
const GENERATOR_PATIENCE: Duration = Duration::from_secs(40);

/// The waiting for what is under way ends when nothing has been applied for so long.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Longest wait for an alert when nothing moves any more; it is accounted for as missing then. The receiver answers at
/// once, so that an alert is not tried again.
const ALERT_PATIENCE: Duration = Duration::from_secs(20);

/// Runs the whole demonstration.
///
/// # Errors
/// If a piece does not start, fails, or does not end well, or if a stop is requested before all have started; the
/// error ends with the piece's log. Whatever happens, no process is left.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Account> {
    let mut stop = StopRequests::listen()?;
    let seed = args.seed();
    writeln!(io::stdout(), "starting PostgreSQL, broker, bridge, generator and a receiver of alerts")?;
    let mut pieces = tokio::select! {
        started = Pieces::start(args.rate, seed) => started?,
        () = stop.requested() => bail!("stopped before everything had started"),
    };
    let psql = psql_command(pieces.cluster());
    let order = Order { rate: args.rate, duration: args.duration(), seed, psql };
    writeln!(io::stdout(), "{order}\nlook inside: {}", order.psql)?;
    let account = Demonstration::open(&mut pieces, order).await?.conduct(&mut stop).await?;
    pieces.stop()?;
    Ok(account)
}

/// A demonstration under way.
struct Demonstration<'a> {
    pieces: &'a mut Pieces,
    order: Order,
    sampler: Sampler,
    history: History,
    display: Display,
    acknowledgements: Acknowledgements,
}

impl<'a> Demonstration<'a> {
    async fn open(pieces: &'a mut Pieces, order: Order) -> anyhow::Result<Self> {
        let sampler = Sampler::start(pieces.cluster()).await?;
        let (history, display) = (History::default(), Display::open()?);
        Ok(Self { pieces, order, sampler, history, display, acknowledgements: Acknowledgements::Given })
    }

    async fn conduct(mut self, stop: &mut StopRequests) -> anyhow::Result<Account> {
        let published_for = self.publish(stop).await?;
        let generator = self.stop_publishing().await?;
        let last = self.drain(stop).await?;
        self.look(Phase::Comparing).await?;
        let database = self.sampler.database();
        Ok(Account {
            generator,
            database: database.totals().await?,
            rows: database.counted_rows(&last.rows).await?,
            enriched: database.counted_enriched().await?,
            due_alerts: database.due_alerts().await?,
            outbox: last.derived.outbox,
            received: last.received.alerts,
            differences: tokio::select! {
                () = stop.insisted() => None,
                differences = database.differences() => Some(differences?),
            },
            broker: last.broker,
            worker: last.worker,
            latency: last.latency,
            published_for,
            took: last.at,
        })
    }

    /// Shows what happens until the time is over or a stop is requested; returns how long that was.
    async fn publish(&mut self, stop: &mut StopRequests) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let duration = self.order.duration;
        let over = async move {
            match duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let (mut pictures, mut throttles) = (interval(INTERVAL), interval(throttle::INTERVAL));
        pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        throttles.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                () = &mut over => break,
                _ = pictures.tick() => self.look(Phase::Publishing).await.map(drop)?,
                _ = throttles.tick(), if self.order.rate == Rate::Unlimited => {
                    // A piece that does not answer is found, and named, by the next picture.
                    let _ = self.throttle().await;
                }
            }
        }
        Ok(started.elapsed())
    }

    /// Has the broker hold its acknowledgements while too much is under way.
    async fn throttle(&mut self) -> anyhow::Result<()> {
        let under_way = self.sampler.under_way(self.pieces).await?;
        self.set_acknowledgements(self.acknowledgements.with(under_way)).await
    }

    async fn set_acknowledgements(&mut self, wanted: Acknowledgements) -> anyhow::Result<()> {
        if self.acknowledgements != wanted {
            self.pieces.broker().hold_acknowledgements(wanted == Acknowledgements::Held).await?;
            self.acknowledgements = wanted;
        }
        Ok(())
    }

    /// Waits until the generator has sent what it holds back and has its answers.
    async fn stop_publishing(&mut self) -> anyhow::Result<Summary> {
        self.set_acknowledgements(Acknowledgements::Given).await?;
        self.pieces.stop_publishing()?;
        let asked = Instant::now();
        loop {
            if let Some(summary) = self.pieces.published()? {
                return Ok(summary);
            }
            ensure!(
                asked.elapsed() < GENERATOR_PATIENCE,
                "the generator has not ended within {GENERATOR_PATIENCE:?}"
            );
            self.look(Phase::Stopping).await?;
            sleep(INTERVAL_AT_END).await;
        }
    }

    /// Waits until nothing is under way any more; returns the last sample.
    async fn drain(&mut self, stop: &mut StopRequests) -> anyhow::Result<Sample> {
        let (mut reached, mut moved) = (None, Instant::now());
        loop {
            let sample = self.look(Phase::Draining).await?;
            let now = (sample.counts.settled(), sample.derived.to_enrich, sample.derived.outbox);
            if reached != Some(now) {
                (reached, moved) = (Some(now), Instant::now());
            }
            let alerts_are_over = sample.alerts_are_over() || moved.elapsed() > ALERT_PATIENCE;
            let applied = sample.queued == 0 && sample.counts.pending() == 0;
            if applied && alerts_are_over && self.inbox_is_empty().await? {
                return Ok(sample);
            }
            ensure!(
                moved.elapsed() < STANDSTILL,
                "nothing has been applied for {STANDSTILL:?}, with {} messages in the queue and {} in the inbox",
                sample.queued,
                sample.counts.pending()
            );
            tokio::select! {
                () = stop.insisted() => return Ok(sample),
                () = sleep(INTERVAL_AT_END) => (),
            }
        }
    }

    /// Whether the database says so too: it may have got messages twice, of which the broker knows nothing.
    async fn inbox_is_empty(&self) -> anyhow::Result<bool> {
        let totals = self.sampler.database().totals().await?;
        Ok(totals.staged == totals.settled)
    }

    /// Looks at all pieces and shows what it sees.
    async fn look(&mut self, phase: Phase) -> anyhow::Result<Sample> {
        let sample = self.sampler.sample(self.pieces).await?;
        self.history.push(sample.at, sample.counts, sample.latency.clone());
        self.display.show(&View::new(&self.order, phase, &sample, &self.history))?;
        Ok(sample)
    }
}
