//! Where messages go: a file, or a broker with a file beside it.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use super::GenerateError;
use super::publisher::{Answers, GuaranteedPublisher, Message};
use super::record::RecordWriter;
use super::simulator::Event;
use super::tally::Counters;

/// A way out for messages. It counts the answers to them itself.
pub(crate) trait Sink {
    /// Takes a message; waits while the way is blocked.
    fn send(&mut self, event: Event) -> impl Future<Output = Result<(), GenerateError>>;

    /// Passes on what has been gathered and counts the answers so far; called before each pause.
    fn flush(&mut self) -> Result<(), GenerateError>;

    /// Waits until every message has its answer.
    fn finish(&mut self) -> impl Future<Output = Result<(), GenerateError>>;
}

/// An NDJSON file that is told its path when something goes wrong.
pub(crate) struct RecordFile {
    path: PathBuf,
    writer: RecordWriter,
}

impl RecordFile {
    /// Creates the file; `-` is standard output.
    pub(crate) fn create(path: PathBuf) -> Result<Self, GenerateError> {
        match RecordWriter::create(&path) {
            Ok(writer) => Ok(Self { path, writer }),
            Err(source) => Err(GenerateError::Record { path, source }),
        }
    }

    /// Adds a message.
    pub(crate) fn write(&mut self, event: &Event) -> Result<(), GenerateError> {
        self.writer.write(event).map_err(|source| GenerateError::Record { path: self.path.clone(), source })
    }

    /// Passes on what has been gathered.
    pub(crate) fn flush(&mut self) -> Result<(), GenerateError> {
        self.writer.flush().map_err(|source| GenerateError::Record { path: self.path.clone(), source })
    }
}

/// A sink that is a file and nothing else.
///
/// Writing may block the thread for a moment; the run has nothing else to do meanwhile.
pub(crate) struct FileSink {
    file: RecordFile,
    answers: Answers,
    counters: Arc<Counters>,
}

impl FileSink {
    /// A sink that counts each message written as acknowledged.
    pub(crate) fn new(file: RecordFile, counters: Arc<Counters>) -> Self {
        Self { file, answers: Answers::default(), counters }
    }
}

impl Sink for FileSink {
    async fn send(&mut self, event: Event) -> Result<(), GenerateError> {
        self.file.write(&event)?;
        self.answers.acked += 1;
        self.counters.answered(self.answers);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), GenerateError> {
        self.file.flush()
    }

    async fn finish(&mut self) -> Result<(), GenerateError> {
        self.file.flush()
    }
}

/// A sink that publishes, and records what it publishes if it has a file for that.
pub(crate) struct BrokerSink<P> {
    publisher: P,
    record: Option<RecordFile>,
    counters: Arc<Counters>,
}

impl<P: GuaranteedPublisher> BrokerSink<P> {
    /// A sink that takes its answers from the totals of `publisher`.
    pub(crate) fn new(publisher: P, record: Option<RecordFile>, counters: Arc<Counters>) -> Self {
        Self { publisher, record, counters }
    }
}

impl<P: GuaranteedPublisher> Sink for BrokerSink<P> {
    /// Records first: the file may have a message that never arrived, but never lacks one that did.
    async fn send(&mut self, event: Event) -> Result<(), GenerateError> {
        if let Some(record) = &mut self.record {
            record.write(&event)?;
        }
        let message =
            Message { topic: &event.topic, payload: event.payload.clone(), message_id: &event.message_id };
        self.publisher.publish(message).await.map_err(GenerateError::publish)?;
        self.counters.answered(self.publisher.answers());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), GenerateError> {
        self.counters.answered(self.publisher.answers());
        self.record.as_mut().map_or(Ok(()), RecordFile::flush)
    }

    async fn finish(&mut self) -> Result<(), GenerateError> {
        self.publisher.all_answered().await.map_err(GenerateError::publish)?;
        self.flush()
    }
}
