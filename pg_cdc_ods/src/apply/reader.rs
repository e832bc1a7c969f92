//! Reads and prepares batches. While one is written, a thread prepares the next: it is busy with bytes only, never with
//! PostgreSQL.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cdc_push::spawn_without_signals;
use pgrx::prelude::*;
use self_cell::self_cell;

use super::prepare::{Limits, Prepared};
use super::target_cache;
use super::target_plans::TargetPlans;
use crate::inbox;
use crate::messages::Messages;
use crate::settings;
use crate::sql_error::raise;

self_cell!(
    /// Messages, and what was made of them.
    ///
    /// All of it is memory of its own, none of PostgreSQL's: when the process ends in the middle, by whatever way, there is
    /// nothing that the thread could miss.
    pub(super) struct PreparedMessages {
        owner: Messages,
        #[not_covariant]
        dependent: Prepared,
    }
);

impl PreparedMessages {
    /// Decodes messages, and plans them if there are plans.
    pub(super) fn prepare(messages: Messages, limits: Limits, plans: Option<Arc<TargetPlans>>) -> Self {
        Self::new(messages, |messages| {
            let mut prepared = Prepared::decode(messages.iter().collect(), limits);
            if let Some(plans) = plans {
                prepared.plan(plans);
            }
            prepared
        })
    }
}

/// How many batches are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent {
    /// Batches as long as they are full and have not taken this long, the first one in any case.
    Full(Duration),
    /// All that wait, up to this many messages.
    All(i64),
}

/// A batch that was read from the inbox.
pub(super) struct ReadBatch {
    pub(super) prepared: PreparedMessages,
    /// Whether another batch may be waiting.
    pub(super) more: bool,
    is_full: bool,
}

/// Reads the batches of one transaction, whose caller holds the progress lock.
pub(super) struct Reader {
    extent: Extent,
    began: Instant,
    /// Whether there is another batch to read.
    goes_on: bool,
    thread: Option<PreparingThread>,
    /// The batch that the thread prepares: whether it is full, and whether another may be waiting.
    ahead: Option<(bool, bool)>,
}

impl Reader {
    pub(super) fn new(extent: Extent) -> Self {
        Self { extent, began: Instant::now(), goes_on: true, thread: None, ahead: None }
    }

    /// The next batch, if there is one to read.
    pub(super) fn next(&mut self) -> Option<ReadBatch> {
        let batch = match self.ahead.take() {
            Some((is_full, more)) => ReadBatch { prepared: self.thread.as_ref()?.wait(), is_full, more },
            None if self.goes_on && self.limit() > 0 => {
                let inbox::Batch { messages, is_full, more } = self.read();
                let prepared = PreparedMessages::prepare(messages, Limits::current(), None);
                ReadBatch { prepared, is_full, more }
            }
            None => return None,
        };
        self.goes_on = match self.extent {
            Extent::Full(time) => batch.is_full && self.began.elapsed() < time,
            Extent::All(_) => batch.more,
        };
        if self.goes_on && batch.is_full && self.limit() > 0 {
            self.read_ahead();
        }
        Some(batch)
    }

    /// Takes a batch back that was applied: its many pieces of memory are freed by the thread, if there is one.
    pub(super) fn give_back(&self, batch: ReadBatch) {
        if let Some(thread) = &self.thread {
            thread.begin(Job::Free(batch.prepared));
        }
    }

    /// The most messages of the next batch.
    fn limit(&self) -> i64 {
        let batch_size = i64::from(settings::BATCH_SIZE.get());
        match self.extent {
            Extent::Full(_) => batch_size,
            Extent::All(left) => left.min(batch_size),
        }
    }

    fn read(&mut self) -> inbox::Batch {
        let limit = self.limit();
        let batch = Spi::connect_mut(|client| inbox::next_batch(client, limit));
        if let Extent::All(left) = &mut self.extent {
            *left -= batch.messages.len() as i64;
        }
        batch
    }

    /// Reads the next batch and has it prepared, if there is a thread to be had.
    fn read_ahead(&mut self) {
        if self.thread.is_none() && settings::PREPARE_AHEAD.get() {
            self.thread = PreparingThread::start();
        }
        if self.thread.is_none() {
            return;
        }
        let inbox::Batch { messages, is_full, more } = self.read();
        if let Some(thread) = &self.thread {
            thread.begin(Job::Prepare(messages, Limits::current(), target_cache::plans()));
            self.ahead = Some((is_full, more));
        }
    }
}

/// What the thread is given.
enum Job {
    Prepare(Messages, Limits, Option<Arc<TargetPlans>>),
    Free(PreparedMessages),
}

/// A thread that prepares one batch after another; it ends with this value.
struct PreparingThread {
    jobs: Sender<Job>,
    done: Receiver<PreparedMessages>,
}

impl PreparingThread {
    /// `None` if the system has no thread to spare.
    fn start() -> Option<Self> {
        let (jobs, inbound) = channel();
        let (outbound, done) = channel();
        let work = move || {
            for job in inbound {
                match job {
                    Job::Prepare(messages, limits, plans) => {
                        let prepared = PreparedMessages::prepare(messages, limits, plans);
                        if outbound.send(prepared).is_err() {
                            return;
                        }
                    }
                    Job::Free(prepared) => drop(prepared),
                }
            }
        };
        spawn_without_signals("cdc-prepare", work).ok()?;
        Some(Self { jobs, done })
    }

    fn begin(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            has_ended();
        }
    }

    fn wait(&self) -> PreparedMessages {
        self.done.recv().unwrap_or_else(|_| has_ended())
    }
}

/// Only a panic ends the thread early.
fn has_ended() -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        "the thread that prepares messages has ended",
        "The server's log tells why. Set pg_cdc_ods.prepare_ahead to off to do without it, and report this.",
    )
}
