//! `cdc-bridge generate`: a simulator of Debezium for Oracle, for trials, tests and load.
//!
//! ```text
//! schedule ──when──┐
//!                  ▼
//! rows ──► simulator ──Event──► delivery (faults) ──Event──► sink: broker, file or both
//! ```
//!
//! The simulation and the faults are pure: seeded, without I/O, with the time given in. The loop that drives them,
//! and the sinks, are the only ones that touch the world.

mod args;
mod damage;
mod delivery;
mod json_writer;
mod money;
mod publisher;
mod record;
mod rows;
mod run;
mod schedule;
mod simulator;
mod sink;
mod table;
mod tally;
mod unix_micros;

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use args::GenerateArgs;
pub use publisher::{Answers, GuaranteedPublisher, Message};

use run::{Stop, run};
use sink::{BrokerSink, FileSink, RecordFile};
use tally::Counters;

/// Time for the end of a run after a stop, for sending what is held back and for answers; less than the 90 s after which service managers kill.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Why a run ended without having sent everything.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The NDJSON file could not be created or written.
    #[error("cannot write {}; check that the folder exists and has room", .path.display())]
    Record {
        /// The file, `-` for standard output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A message could not be published.
    #[error("cannot publish; the messages before this one may still have arrived")]
    Publish {
        /// What the publisher says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The run was stopped, and messages were still on their way when the time for that was up.
    #[error("{messages} messages were published but not acknowledged before the stop; check the broker")]
    Unanswered {
        /// How many.
        messages: u64,
    },
}

impl GenerateError {
    fn publish(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Publish { source: Box::new(source) }
    }
}

/// Writes the messages of a run to the file `output` as NDJSON, `-` being standard output, until the run's end or
/// until `stop` is ready. The seed and a summary go to standard error.
///
/// # Errors
/// [`GenerateError::Record`] if the file cannot be written.
pub async fn to_file(
    args: &GenerateArgs,
    output: PathBuf,
    stop: impl Future<Output = ()>,
) -> Result<(), GenerateError> {
    let counters = Arc::new(Counters::default());
    let mut sink = FileSink::new(RecordFile::create(output)?, Arc::clone(&counters));
    run(args, &mut sink, &counters, Stop { asked: stop, grace: STOP_GRACE }).await
}

/// Publishes the messages of a run through `publisher`, and writes them to `args.record` if that is given, until
/// the run's end or until `stop` is ready. Then waits for the answers, after a stop no longer than 30 s.
///
/// Refused messages are counted in the summary and are no error.
///
/// # Errors
/// [`GenerateError`] if a message cannot be published or recorded, or is unanswered when a stop's time is up.
pub async fn to_broker(
    args: &GenerateArgs,
    publisher: impl GuaranteedPublisher,
    stop: impl Future<Output = ()>,
) -> Result<(), GenerateError> {
    let counters = Arc::new(Counters::default());
    let record = args.record.clone().map(RecordFile::create).transpose()?;
    let mut sink = BrokerSink::new(publisher, record, Arc::clone(&counters));
    run(args, &mut sink, &counters, Stop { asked: stop, grace: STOP_GRACE }).await
}
