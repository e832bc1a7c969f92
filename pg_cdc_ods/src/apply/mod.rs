//! `cdc.apply()`: waiting messages become rows, batch by batch.
//!
//! ```text
//! inbox ──batch──► decode, plan, fold (cdc-core) ──rounds──► upsert ──► progress, dead letters
//! ```

mod array_datum;
mod array_elements;
mod arrays;
mod auto_attach;
mod batch;
mod children;
mod column_list;
mod dead_letters;
mod documents;
mod element_rows;
mod evolve;
mod explain;
mod extractions;
mod first_seen;
mod guard;
mod numeric_datum;
mod prepare;
mod progress;
mod reader;
mod round;
mod row_memory;
mod schema_history;
mod statements;
mod stored_rows;
mod target_cache;
mod target_plans;
mod targets;
mod transaction;
mod truncate;
mod upsert;

use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::enrich;
use crate::inbox;
use crate::inbox_partitions;
use crate::messages::Messages;
use crate::sql_error;
pub(crate) use arrays::parameter;
pub(crate) use dead_letters::{Rejected, json, printable};
pub(crate) use explain::{Explanation, explain};
pub(crate) use extractions::{EXTRACTED_FROM, LINE_NO, PARENT_LINE_NO};
pub(crate) use guard::{as_restricted_user, as_user, raise_again, sqlstate};
use prepare::{Limits, Prepared};
use reader::{Extent, Reader};
pub(crate) use target_cache::enable as keep_targets;
pub(crate) use targets::BOOKKEEPING;
use transaction::{AppliedBatch, Transaction};

/// What a batch did.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Messages taken from the inbox.
    pub(crate) events: i64,
    /// Rows inserted or updated.
    pub(crate) upserted: i64,
    /// Rows removed.
    pub(crate) deleted: i64,
    /// Row changes that came too late or twice.
    pub(crate) stale: i64,
    /// Messages set aside in `cdc.dlq`.
    pub(crate) dead_lettered: i64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.upserted += other.upserted;
        self.deleted += other.deleted;
        self.stale += other.stale;
        self.dead_lettered += other.dead_lettered;
    }
}

/// What the apply worker wants to know of a transaction.
#[derive(Default)]
pub(crate) struct Outcome {
    /// When the messages taken from the inbox were sent, else received; microseconds of PostgreSQL's epoch.
    pub(crate) sent_at: Vec<pg_sys::TimestampTz>,
    /// Batches applied.
    pub(crate) batches: i64,
    /// Whether another batch may be waiting.
    pub(crate) more: bool,
    /// Whether nothing was left to apply in the end.
    is_drained: bool,
}

/// Applies what waits, in the current transaction, unless applying is paused: a batch, and further ones as long as they
/// are full and have not taken this long together. Now and then, and when nothing is left, it empties partitions of the inbox.
pub(crate) fn apply_for(time: Duration) -> Outcome {
    Spi::connect_mut(|client| {
        let (has_work, rotates) = (inbox::has_work(client), inbox_partitions::rotation_is_due());
        if !(has_work || rotates) || !inbox::lock_progress(client) {
            return Outcome::default();
        }
        if rotates {
            inbox_partitions::rotate(client);
        }
        let mut outcome = Outcome::default();
        let mut transaction = Transaction::begin(client);
        let mut reader = Reader::new(Extent::Full(time));
        while let Some(mut batch) = reader.next() {
            outcome.add(&transaction.apply_batch(&mut batch));
            reader.give_back(batch);
            pgrx::check_for_interrupts!();
        }
        transaction.finish(client);
        if outcome.is_drained {
            inbox_partitions::rotate(client);
        }
        outcome
    })
}

impl Outcome {
    fn add(&mut self, batch: &AppliedBatch) {
        self.sent_at.extend(&batch.sent_at);
        self.batches += i64::from(batch.counts.events > 0);
        self.more = batch.more;
        self.is_drained = batch.counts.events == 0;
    }
}

/// Applies messages once more, in the current transaction; returns those that are rejected again. The caller holds the
/// progress lock.
pub(crate) fn apply_again(client: &mut SpiClient<'_>, messages: &Messages) -> Vec<Rejected> {
    let mut transaction = Transaction::begin(client);
    let mut prepared = Prepared::decode(messages.iter().collect(), Limits::current());
    let applied = transaction.apply(client, &mut prepared);
    transaction.finish(client);
    applied.rejected
}

#[pg_extern]
fn apply(
    max_events: default!(Option<i32>, "null"),
) -> TableIterator<
    'static,
    (
        name!(events, i64),
        name!(upserted, i64),
        name!(deleted, i64),
        name!(stale, i64),
        name!(dead_lettered, i64),
    ),
> {
    if max_events.is_some_and(|max| max < 1) {
        sql_error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "max_events must be at least 1",
            "Leave it out to apply everything that waits.",
        );
    }
    let counts = apply_waiting(max_events.map(i64::from), |_| ());
    TableIterator::once((counts.events, counts.upserted, counts.deleted, counts.stale, counts.dead_lettered))
}

/// Applies what waits, batch by batch, up to `max_events` messages. `check` is told how many are applied, at first none and
/// then after each batch.
fn apply_waiting(max_events: Option<i64>, check: impl Fn(i64)) -> Counts {
    Spi::connect_mut(|client| {
        let mut total = Counts::default();
        lock_progress_or_raise(client);
        let mut transaction = Transaction::begin(client);
        let mut reader = Reader::new(Extent::All(max_events.unwrap_or(i64::MAX)));
        let mut is_drained = false;
        check(0);
        while let Some(mut batch) = reader.next() {
            let counts = transaction.apply_batch(&mut batch).counts;
            reader.give_back(batch);
            is_drained = counts.events == 0;
            total.add(counts);
            check(total.events);
            pgrx::check_for_interrupts!();
        }
        transaction.finish(client);
        if max_events.is_none() {
            while enrich::work_off(client) {
                pgrx::check_for_interrupts!();
            }
        }
        // The last thing that is done: it keeps readers of the inbox waiting until the transaction ends.
        if is_drained {
            inbox_partitions::rotate(client);
        }
        total
    })
}

/// Makes this session the only one that applies until its transaction ends; an ERROR when applying is paused.
pub(crate) fn lock_progress_or_raise(client: &mut SpiClient<'_>) {
    if !inbox::lock_progress(client) {
        sql_error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "applying is paused",
            "Call cdc.resume() to go on.",
        );
    }
}

#[pg_extern]
fn flush(timeout: default!(Option<Interval>, "'1 minute'")) -> bool {
    let seconds = timeout.and_then(|interval| interval.extract_part(DateTimeParts::Epoch));
    let seconds = seconds.and_then(|seconds| f64::try_from(seconds).ok()).unwrap_or(60.0).max(0.0);
    let deadline = Instant::now() + Duration::from_secs_f64(seconds.min(86_400.0 * 365.0));
    // The inbox as this call sees it: what arrives later is not waited for, only applied in passing.
    let waiting = waiting();
    if waiting > 0 {
        apply_waiting(Some(waiting), |applied| {
            if Instant::now() >= deadline && inbox::has_unapplied() {
                sql_error::raise(
                    PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                    format!("{} of {waiting} messages are not applied within the timeout", waiting - applied),
                    "Look at cdc.stat_streams for what is pending, or call cdc.flush() with a longer timeout.",
                );
            }
        });
    }
    while enrich::work_off_step() && Instant::now() < deadline {
        pgrx::check_for_interrupts!();
    }
    true
}

fn waiting() -> i64 {
    Spi::get_one::<i64>("select count(*) from cdc.inbox_unapplied").ok().flatten().unwrap_or(0)
}

#[pg_extern]
fn pause() {
    set_paused(true);
}

#[pg_extern]
fn resume() {
    set_paused(false);
}

fn set_paused(paused: bool) {
    let set = Spi::run_with_args("update cdc.inbox_progress set paused = $1", &[paused.into()]);
    if let Err(error) = set {
        sql_error::spi_failed("cannot update cdc.inbox_progress", &error);
    }
}
