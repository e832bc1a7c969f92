//! What the batches of one transaction share: enriched rows are made anew once for all of them.

use cdc_core::PG_EPOCH_UNIX_MICROS;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::{self, Applied};
use super::guard::as_user;
use super::prepare::Prepared;
use super::reader::ReadBatch;
use super::target_cache::KeepsTargets;
use super::{Counts, dead_letters, progress};
use crate::aggregate::advance_clock;
use crate::enrich::{Collecting, refresh_dirty};
use crate::messages::Message;
use crate::sql_error::spi_failed;

/// Batches applied in the current transaction.
///
/// What they make dirty is brought up to date by [`Transaction::finish`]: a row that several of them change is made anew
/// once. Nobody sees the rows of a transaction that has not ended, so nobody misses what is not done before.
pub(super) struct Transaction {
    collecting: Collecting,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    newest: Option<i64>,
    _keeps_targets: KeepsTargets,
}

/// A batch from the inbox that was applied.
pub(super) struct AppliedBatch {
    pub(super) counts: Counts,
    /// When its messages were sent, else received; microseconds of PostgreSQL's epoch.
    pub(super) sent_at: Vec<pg_sys::TimestampTz>,
    /// Whether another batch may be waiting.
    pub(super) more: bool,
}

impl Transaction {
    /// Begins to apply. The caller holds the progress lock.
    pub(super) fn begin(client: &mut SpiClient<'_>) -> Self {
        fire_constraints_at_once(client);
        Self { collecting: Collecting::begin(client), newest: None, _keeps_targets: KeepsTargets::begin() }
    }

    /// Applies a batch from the inbox and records that.
    pub(super) fn apply_batch(&mut self, batch: &mut ReadBatch) -> AppliedBatch {
        let more = batch.more;
        // A connection of its own, which frees the memory of the batch.
        Spi::connect_mut(|client| {
            batch.prepared.with_dependent_mut(|messages, prepared| {
                if messages.is_empty() {
                    return AppliedBatch { counts: Counts::default(), sent_at: Vec::new(), more };
                }
                let applied = self.apply(client, prepared);
                dead_letters::write(client, &prepared.messages, &applied.rejected);
                progress::record(client, prepared, &applied);
                let sent_at = |message: &Message<'_>| message.sent_at.unwrap_or(message.received_at);
                let sent_at = prepared.messages.iter().map(sent_at).collect();
                AppliedBatch { counts: applied.counts, sent_at, more }
            })
        })
    }

    /// Applies messages; the caller keeps what was rejected.
    pub(super) fn apply(&mut self, client: &mut SpiClient<'_>, prepared: &mut Prepared<'_>) -> Applied {
        let applied = batch::apply(client, prepared);
        self.newest = self.newest.max(applied.newest);
        if self.collecting.is_full() {
            refresh_dirty(client, &self.collecting);
        }
        applied
    }

    /// Brings enriched tables, windows and the clock up to date with all that was applied.
    pub(super) fn finish(self, client: &mut SpiClient<'_>) {
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
