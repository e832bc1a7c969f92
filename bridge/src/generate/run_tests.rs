//! Whole runs into a file or into memory.

use std::collections::BTreeSet;
use std::future::{pending, ready};
use std::path::Path;
use std::sync::Arc;

use clap::Parser;

use super::*;
use crate::generate::publisher::{Answers, GuaranteedPublisher, Message};
use crate::generate::sink::{BrokerSink, FileSink, RecordFile};

/// Longer than any of these runs should ever take.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: GenerateArgs,
}

fn args(options: &[&str]) -> GenerateArgs {
    Command::try_parse_from(["generate"].iter().chain(options)).unwrap().args
}

/// Runs into `path` and returns the records written.
async fn records(path: &Path, options: &[&str], stop: impl Future<Output = ()>) -> Vec<serde_json::Value> {
    let counters = Arc::new(Counters::default());
    let file = RecordFile::create(path.to_owned()).unwrap();
    let mut sink = FileSink::new(file, Arc::clone(&counters));
    run(&args(options), &mut sink, &counters, Stop { asked: stop, grace: LONG }).await.unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(counters.tally().published(), text.lines().count() as u64);
    assert_eq!(counters.tally().unanswered(), 0);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn message_ids(records: &[serde_json::Value]) -> BTreeSet<&str> {
    records.iter().map(|record| record["message_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_counted_run_writes_each_change_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--rate=0", "--count=1000", "--seed=1", "--schema=ECOM", "--topic-prefix=a/b"];
    let records = records(&folder.path().join("events"), &options, pending()).await;
    assert_eq!((records.len(), message_ids(&records).len()), (1000, 1000));
    assert!(records.iter().all(|record| record["topic"].as_str().unwrap().starts_with("a/b/ECOM/")));
}

#[tokio::test]
async fn faults_lose_no_change_though_messages_are_held_back_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--rate=0", "--count=1000", "--late=0.5", "--duplicates=0.5", "--out-of-order=0.5"];
    let records = records(&folder.path().join("events"), &options, pending()).await;
    assert_eq!(message_ids(&records).len(), 1000);
    assert!(records.len() > 1300, "{}", records.len());
}

#[tokio::test]
async fn a_stop_ends_an_endless_run_at_full_speed_and_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    for rate in ["--rate=0", "--rate=1"] {
        let records = records(&folder.path().join("events"), &[rate], ready(())).await;
        assert!(records.len() <= 1_000, "{}", records.len());
    }
}

/// Keeps the time of each message since the start.
struct Times(Instant, Vec<Duration>);

impl Sink for Times {
    async fn send(&mut self, _: Event) -> Result<(), GenerateError> {
        self.1.push(self.0.elapsed());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), GenerateError> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), GenerateError> {
        Ok(())
    }
}

#[tokio::test]
async fn no_change_is_made_before_its_due_time() {
    let mut times = Times(Instant::now(), Vec::new());
    let stop = Stop { asked: pending(), grace: LONG };
    run(&args(&["--rate=12000", "--count=50"]), &mut times, &Counters::default(), stop).await.unwrap();
    assert_eq!(times.1.len(), 50);
    for (number, time) in times.1.iter().enumerate() {
        assert!(*time >= Duration::from_millis(5 * number as u64), "change {number} came at {time:?}");
    }
}

/// A broker that keeps messages in memory and refuses each whose body is not an event.
#[derive(Default)]
struct MemoryBroker {
    taken: Vec<String>,
    answers: Answers,
    /// Messages after which it takes no more, and gives no more answers.
    blocks_after: Option<usize>,
}

impl GuaranteedPublisher for &mut MemoryBroker {
    type Error = Infallible;

    async fn publish(&mut self, message: Message<'_>) -> Result<(), Infallible> {
        if self.blocks_after == Some(self.taken.len()) {
            return pending().await;
        }
        if message.payload.starts_with(b"{\"payload\":") {
            self.answers.acked += 1;
        } else {
            self.answers.rejected += 1;
        }
        self.taken.push(message.message_id.to_owned());
        Ok(())
    }

    fn answers(&self) -> Answers {
        self.answers
    }

    async fn all_answered(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_published_is_recorded_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut broker = MemoryBroker::default();
    let record = format!("--record={}", path.display());
    let options = ["--rate=0", "--count=500", "--duplicates=0.2", "--malformed=0.2", "--seed=5", &record];
    crate::generate::to_broker(&args(&options), &mut broker, pending()).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let recorded: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(recorded.iter().map(|record| record["message_id"].as_str().unwrap()).eq(broker.taken.iter()));
    assert_eq!(broker.answers.acked + broker.answers.rejected, recorded.len() as u64);
    assert!(broker.answers.rejected > 0);
}

#[tokio::test]
async fn a_blocked_broker_holds_a_stop_up_for_the_grace_only() {
    let mut broker = MemoryBroker { blocks_after: Some(3), ..MemoryBroker::default() };
    let counters = Arc::new(Counters::default());
    let mut sink = BrokerSink::new(&mut broker, None, Arc::clone(&counters));
    let stop = Stop { asked: ready(()), grace: Duration::from_millis(1) };
    let result = run(&args(&["--rate=0"]), &mut sink, &counters, stop).await;
    assert!(matches!(result, Err(GenerateError::Unanswered { messages: 1 })), "{result:?}");
}

#[test]
fn shares_beyond_one_and_files_for_nothing_are_refused() {
    for options in [["--late", "1.5"], ["--drift", "-0.1"], ["--duplicates", "many"]] {
        assert!(Command::try_parse_from(["generate"].iter().chain(&options)).is_err(), "{options:?}");
    }
    assert!(Command::try_parse_from(["generate", "--output", "a", "--record", "b"]).is_err());
}
