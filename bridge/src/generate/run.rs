//! The loop that takes changes from the simulation to a sink, each at its time.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::GenerateError;
use super::args::GenerateArgs;
use super::delivery::Delivery;
use super::schedule::{Schedule, Step};
use super::simulator::{Event, Scenario, Simulator};
use super::sink::Sink;
use super::tally::Counters;
use super::unix_micros::UnixMicros;

/// Time between lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How a run is ended from outside.
pub(super) struct Stop<F> {
    /// Ready when the run shall end.
    pub(super) asked: F,
    /// How long the run may then still take to send what is held back and to collect answers.
    pub(super) grace: Duration,
}

/// Runs the simulation of `args` into `sink` until its end or until it is stopped; says on standard error what
/// seed it had and what it sent.
///
/// Messages held back by faults are sent at the end, whatever ended the run, so that no change is missing.
pub(super) async fn run(
    args: &GenerateArgs,
    sink: &mut impl Sink,
    counters: &Counters,
    stop: Stop<impl Future<Output = ()>>,
) -> Result<(), GenerateError> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("generate: seed={seed}");
    let (stop_sender, stopped) = watch::channel(());
    let stop_in_time = async {
        stop.asked.await;
        // The loop may have ended by itself just now; then nobody listens and nothing is to be done.
        let _ = stop_sender.send(());
        sleep(stop.grace).await;
    };
    let finished = tokio::select! {
        result = publish(args, seed, sink, counters, stopped) => Some(result),
        never = report_progress(args, counters) => match never {},
        () = stop_in_time => None,
    };
    let flushed = sink.flush();
    let tally = counters.tally();
    eprintln!("generate: {tally}");
    let unanswered = GenerateError::Unanswered { messages: tally.unanswered() };
    finished.unwrap_or(Err(unanswered)).and(flushed)
}

/// Publishes the changes of a run, then what was held back, and waits for the answers.
async fn publish(
    args: &GenerateArgs,
    seed: u64,
    sink: &mut impl Sink,
    counters: &Counters,
    mut stopped: watch::Receiver<()>,
) -> Result<(), GenerateError> {
    let schedule = schedule(args);
    let mut simulator = Simulator::new(&scenario(args, seed), UnixMicros::now());
    let mut delivery = Delivery::new(args.faults(), seed);
    let started = Instant::now();
    let mut made = 0;
    loop {
        match schedule.step(started.elapsed(), made) {
            Step::Make(changes) => {
                for _ in 0..changes {
                    delivery.accept(simulator.next(UnixMicros::now()));
                    send_all(|| delivery.next_due(), sink, counters).await?;
                }
                made += changes;
                // Lets a stop and the line of progress have their turn at full speed too.
                tokio::task::yield_now().await;
            }
            Step::WaitUntil(due) => {
                sink.flush()?;
                tokio::select! {
                    _ = stopped.changed() => break,
                    () = sleep_until(started + due) => {}
                }
            }
            Step::End => break,
        }
        if stopped.has_changed().unwrap_or(true) {
            break;
        }
    }
    send_all(|| delivery.next_held(), sink, counters).await?;
    sink.finish().await
}

/// Sends messages as long as `next` has one.
async fn send_all(
    mut next: impl FnMut() -> Option<Event>,
    sink: &mut impl Sink,
    counters: &Counters,
) -> Result<(), GenerateError> {
    while let Some(event) = next() {
        counters.published(&event);
        sink.send(event).await?;
    }
    Ok(())
}

fn schedule(args: &GenerateArgs) -> Schedule {
    Schedule { rate: args.rate, count: args.count, duration: args.duration.map(Duration::from_secs) }
}

fn scenario(args: &GenerateArgs, seed: u64) -> Scenario {
    Scenario { seed, schema: args.schema.clone(), topic_prefix: args.topic_prefix.clone(), drift: args.drift }
}

/// Writes a line of progress each second, if asked to.
async fn report_progress(args: &GenerateArgs, counters: &Counters) -> Infallible {
    if !args.progress {
        return std::future::pending().await;
    }
    let mut earlier = counters.tally();
    let mut earlier_time = Instant::now();
    loop {
        sleep_until(earlier_time + PROGRESS_INTERVAL).await;
        let (tally, time) = (counters.tally(), Instant::now());
        eprintln!("generate: {}", tally.progress(&earlier, time - earlier_time));
        (earlier, earlier_time) = (tally, time);
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
