//! What the batches of one transaction share: enriched rows are made anew once for all of them.

use cdc_core::PG_EPOCH_UNIX_MICROS;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::{self, Applied};
use super::guard::as_user;
use super::{Counts, dead_letters, progress};
use crate::aggregate::advance_clock;
use crate::enrich::{Collecting, refresh_dirty};
use crate::inbox::{self, Message};
use crate::inbox_partitions;
use crate::sql_error::spi_failed;

/// Batches applied in the current transaction.
///
/// What they make dirty is brought up to date by [`Transaction::finish`]: a row that several of them change is made anew
/// once. Nobody sees the rows of a transaction that has not ended, so nobody misses what is not done before.
pub(crate) struct Transaction {
    collecting: Collecting,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    newest: Option<i64>,
}

/// A batch that was taken from the inbox and applied.
pub(super) struct TakenBatch {
    pub(super) counts: Counts,
    /// When its messages were sent, else received; microseconds of PostgreSQL's epoch.
    pub(super) sent_at: Vec<pg_sys::TimestampTz>,
    /// Whether it took as many messages as it may, so that others are likely to wait.
    pub(super) is_full: bool,
    /// Whether another batch may be waiting.
    pub(super) more: bool,
}

impl Transaction {
    /// Begins to apply. The caller holds the progress lock.
    pub(crate) fn begin(client: &mut SpiClient<'_>) -> Self {
        fire_constraints_at_once(client);
        Self { collecting: Collecting::begin(client), newest: None }
    }

    /// Reads the next messages from the inbox, up to this number, applies them and records that; with nothing to apply
    /// there is time to empty partitions.
    pub(super) fn take_batch(&mut self, limit: i64) -> TakenBatch {
        // A connection of its own, which frees the memory of the batch.
        Spi::connect_mut(|client| {
            let batch = inbox::next_batch(client, limit);
            let messages = batch.messages();
            let counts = if messages.is_empty() {
                inbox_partitions::rotate(client);
                Counts::default()
            } else {
                let applied = self.apply(client, &messages);
                dead_letters::write(client, &messages, &applied.rejected);
                progress::record(client, &messages, &applied);
                applied.counts
            };
            let sent_at = |message: &Message<'_>| message.sent_at.unwrap_or(message.received_at);
            let sent_at = messages.iter().map(sent_at).collect();
            TakenBatch { counts, sent_at, is_full: batch.is_full, more: batch.more }
        })
    }

    /// Applies messages; the caller keeps what was rejected.
    pub(crate) fn apply(&mut self, client: &mut SpiClient<'_>, messages: &[Message<'_>]) -> Applied {
        let applied = batch::apply_messages(client, messages);
        self.newest = self.newest.max(applied.newest);
        if self.collecting.is_full() {
            refresh_dirty(client, &self.collecting);
        }
        applied
    }

    /// Brings enriched tables, windows and the clock up to date with all that was applied.
    pub(crate) fn finish(self, client: &mut SpiClient<'_>) {
        refresh_dirty(client, &self.collecting);
        drop(self.collecting);
        advance_clock(client, self.newest.map(moment));
    }
}

/// A moment given in microseconds since the Unix epoch; one beyond what PostgreSQL can store is its last.
fn moment(unix_micros: i64) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(unix_micros.saturating_sub(PG_EPOCH_UNIX_MICROS))
        .unwrap_or_else(|_| TimestampWithTimeZone::positive_infinity())
}

/// Makes deferrable constraints and constraint triggers of the targets fire with their statement, for the rest of the
/// transaction.
///
/// At commit they would run with the rights of the apply worker instead of those of the target's owner, and one that
/// fails would undo the whole batch instead of setting its row aside. The statement itself fires what the caller's
/// transaction had deferred, and so runs with the caller's rights.
fn fire_constraints_at_once(client: &mut SpiClient<'_>) {
    let fire =
        |client: &mut SpiClient<'_>| client.update("set constraints all immediate", None, &[]).map(drop);
    // SAFETY: reads a global of the backend.
    let caller = unsafe { pg_sys::GetOuterUserId() };
    if let Err(error) = as_user(caller, || fire(client)) {
        spi_failed("cannot set constraints to immediate", &error);
    }
}
