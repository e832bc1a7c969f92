//! Serves one queue: takes messages, writes batches, acknowledges.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::Batch;
use super::broker::Broker;
use super::progress::Progress;
use super::valve::Valve;
use crate::backoff::Backoff;
use crate::config::Config;
use crate::inbox::{CopyBatch, InboxError, InboxWriter};
use crate::shutdown::Shutdown;
use crate::solace::{AckId, Delivery, Flow, FlowEvent, InboundMessage, Library};

/// How long a stream may be locked by another session when reconnecting, before the flow is given up. The lock of
/// our own lost connection goes as soon as the server notices; a second bridge that has taken the stream over needs
/// the queue for itself.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The worker of one queue.
pub(super) struct QueueWorker {
    config: Arc<Config>,
    queue: String,
    stream: String,
    shutdown: Shutdown,
    progress: Arc<Progress>,
    broker: Broker,
    batch: Batch,
    valve: Valve,
    /// Told at the first bind; then `None`.
    bound: Option<mpsc::UnboundedSender<()>>,
}

/// Why a flow is no longer served.
enum End {
    Shutdown,
    /// The flow or the session is down; a new flow is needed.
    FlowDown(String),
    /// Another bridge writes to the stream now.
    StreamTaken,
}

impl QueueWorker {
    pub(super) fn new(
        library: Library,
        config: Arc<Config>,
        queue: &str,
        shutdown: Shutdown,
        progress: Arc<Progress>,
        bound: mpsc::UnboundedSender<()>,
    ) -> Self {
        let stream = format!("{}/{queue}", config.bridge.name);
        Self {
            queue: queue.to_owned(),
            broker: Broker::new(library, Arc::clone(&config), queue),
            batch: Batch::new(&stream, config.bridge.batch),
            valve: Valve::default(),
            bound: Some(bound),
            config,
            stream,
            shutdown,
            progress,
        }
    }

    /// Runs until shutdown. The database comes first, so that no message is taken that cannot be written.
    pub(super) async fn run(mut self) {
        while let Some(mut writer) = self.connect_database(None).await {
            let end = self.serve_flows(&mut writer).await;
            self.broker.disconnect().await;
            match end {
                End::Shutdown | End::FlowDown(_) => break,
                End::StreamTaken => {
                    tracing::warn!(stream = self.stream, "another bridge has taken the stream over; waiting");
                }
            }
        }
    }

    /// Serves one flow after the other.
    async fn serve_flows(&mut self, writer: &mut InboxWriter) -> End {
        loop {
            let Some(mut flow) = self.bind().await else { return End::Shutdown };
            self.valve = Valve::default();
            self.progress.watch(&self.queue, flow.held());
            let end = self.serve(&mut flow, writer).await;
            self.broker.unbind(flow).await;
            match end {
                End::FlowDown(reason) => {
                    tracing::warn!(queue = self.queue, reason, "flow is down; binding again");
                }
                End::Shutdown | End::StreamTaken => return end,
            }
        }
    }

    /// Binds a flow, trying for ever; `None` on shutdown.
    async fn bind(&mut self) -> Option<Flow> {
        let mut backoff = Backoff::default();
        loop {
            match self.shutdown.clone().cancels(self.broker.bind()).await? {
                Ok(flow) => {
                    tracing::info!(queue = self.queue, stream = self.stream, "bound to queue");
                    if let Some(bound) = self.bound.take() {
                        // The listener ends only with the process.
                        let _ = bound.send(());
                    }
                    return Some(flow);
                }
                Err(error) => {
                    tracing::warn!(queue = self.queue, %error, hint = error.hint(), "cannot bind; trying again");
                }
            }
            self.shutdown.cancels(sleep(backoff.pause())).await?;
        }
    }

    /// Connects to the database and locks the stream, trying until shutdown (`None`). With `patience`, gives up
    /// (`None`, too) when the stream has been locked by another session for so long.
    async fn connect_database(&mut self, patience: Option<Duration>) -> Option<InboxWriter> {
        let mut backoff = Backoff::default();
        let mut locked_since = None;
        loop {
            let connecting = InboxWriter::connect(&self.config.postgres, &self.stream);
            match self.shutdown.cancels(connecting).await? {
                Ok(writer) => {
                    tracing::info!(stream = self.stream, "connected to the database");
                    return Some(writer);
                }
                Err(error) => {
                    tracing::warn!(stream = self.stream, %error, hint = error.hint(), "cannot write to the inbox; trying again");
                    if matches!(error, InboxError::StreamTaken { .. }) {
                        let since = *locked_since.get_or_insert_with(Instant::now);
                        if patience.is_some_and(|patience| since.elapsed() > patience) {
                            return None;
                        }
                    } else {
                        locked_since = None;
                    }
                }
            }
            self.shutdown.cancels(sleep(backoff.pause())).await?;
        }
    }

    /// Moves messages of one flow until it ends.
    async fn serve(&mut self, flow: &mut Flow, writer: &mut InboxWriter) -> End {
        loop {
            if let Err(end) = self.gather(flow).await {
                return end;
            }
            // So that the next batch arrives while this one is written.
            self.valve.reopen_if_drained(flow);
            let (rows, acks) = self.batch.finish();
            self.progress.writing(rows.rows);
            if let Err(end) = self.commit(flow, writer, &rows).await {
                self.progress.abandoned(rows.rows);
                return end;
            }
            acknowledge(flow, &acks);
            self.progress.committed(rows.rows, rows.data.len());
            drop(rows);
            self.valve.reopen_if_drained(flow);
        }
    }

    /// Waits for a message and gathers more until the batch is full or due.
    async fn gather(&mut self, flow: &mut Flow) -> Result<(), End> {
        let first = self.first_message(flow).await?;
        self.batch.add(&first);
        drop(first);
        while !self.batch.is_full() {
            let message = match flow.try_next() {
                Some(message) => Some(message),
                None => self.message_before_deadline(flow).await,
            };
            let Some(message) = message else { break };
            self.batch.add(&message);
        }
        Ok(())
    }

    async fn first_message(&mut self, flow: &mut Flow) -> Result<InboundMessage, End> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.requested() => return Err(End::Shutdown),
                reason = self.broker.session_down() => return Err(End::FlowDown(reason)),
                delivery = flow.next_delivery() => match delivery {
                    Delivery::Message(message) => return Ok(message),
                    Delivery::Event(FlowEvent::Down { text }) => return Err(End::FlowDown(text)),
                    Delivery::Event(event) => tracing::info!(queue = self.queue, ?event, "flow"),
                },
            }
        }
    }

    /// The next message, if it comes before the batch is due and before shutdown.
    async fn message_before_deadline(&mut self, flow: &mut Flow) -> Option<InboundMessage> {
        let deadline = self.batch.deadline()?;
        self.shutdown.cancels(timeout_at(deadline, flow.next())).await?.ok()?
    }

    /// Writes the batch, through as many outages as there are; ends only on shutdown or if the stream is lost.
    async fn commit(&mut self, flow: &Flow, writer: &mut InboxWriter, rows: &CopyBatch) -> Result<(), End> {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.write(flow, writer, rows).await else { return Ok(()) };
            tracing::warn!(
                stream = self.stream, %error, hint = error.hint(), messages = rows.rows,
                "batch not written; it is kept and written again"
            );
            self.valve.close(flow);
            let pause = sleep(backoff.pause());
            self.shutdown.cancels(pause).await.ok_or(End::Shutdown)?;
            match self.connect_database(Some(LOCK_PATIENCE)).await {
                Some(new) => *writer = new,
                None if self.shutdown.is_requested() => return Err(End::Shutdown),
                None => return Err(End::StreamTaken),
            }
        }
    }

    /// Writes the batch once, and stops the flow meanwhile if too much piles up.
    async fn write(&mut self, flow: &Flow, writer: &InboxWriter, rows: &CopyBatch) -> Result<(), InboxError> {
        let writing = writer.write(rows);
        tokio::pin!(writing);
        loop {
            tokio::select! {
                outcome = &mut writing => return outcome,
                () = flow.over_limit() => self.valve.close(flow),
            }
        }
    }
}

/// Acknowledges committed messages. If that fails the flow is down, and they come again.
fn acknowledge(flow: &Flow, acks: &[AckId]) {
    if let Some(error) = acks.iter().find_map(|&id| flow.ack(id).err()) {
        tracing::warn!(%error, "committed messages are not acknowledged; they will be delivered again");
    }
}
