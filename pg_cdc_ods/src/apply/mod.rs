//! `cdc.apply()`: waiting messages become rows, one batch in one transaction.
//!
//! ```text
//! inbox ──batch──► decode, plan, fold (cdc-core) ──rounds──► upsert ──► progress, dead letters
//! ```

mod arrays;
mod dead_letters;
mod guard;
mod progress;
mod round;
mod row_memory;
mod statements;
mod targets;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cdc_core::{Decoded, ErrorType, Fold, Reject, decode};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::inbox::{self, Batch, Message};
use crate::settings::BATCH_SIZE;
use crate::sql_error;
use dead_letters::DeadLetter;
pub(crate) use targets::BOOKKEEPING;
use targets::Targets;

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

/// What the apply worker wants to know of a batch.
pub(crate) struct BatchOutcome {
    /// When the messages taken from the inbox were sent, else received; microseconds of PostgreSQL's epoch.
    pub(crate) sent_at: Vec<pg_sys::TimestampTz>,
    /// Whether another batch may be waiting.
    pub(crate) more: bool,
}

/// Applies at most one batch in the current transaction, if anything waits and applying is not paused.
pub(crate) fn apply_batch() -> BatchOutcome {
    if !inbox::has_work() {
        return BatchOutcome { sent_at: Vec::new(), more: false };
    }
    Spi::connect_mut(|client| {
        if !inbox::lock_progress(client) {
            return BatchOutcome { sent_at: Vec::new(), more: false };
        }
        let Batch { messages, more } = inbox::next_batch(client, BATCH_SIZE.get().into());
        apply_or_rotate(client, &messages);
        let sent_at = |message: &Message| message.sent_at.unwrap_or(message.received_at).into();
        BatchOutcome { sent_at: messages.iter().map(sent_at).collect(), more }
    })
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
    let counts = apply_waiting(max_events.map(i64::from));
    TableIterator::once((counts.events, counts.upserted, counts.deleted, counts.stale, counts.dead_lettered))
}

/// Applies what waits, batch by batch, up to `max_events` messages.
fn apply_waiting(max_events: Option<i64>) -> Counts {
    let batch_size = i64::from(BATCH_SIZE.get());
    Spi::connect_mut(|client| {
        let mut total = Counts::default();
        if !inbox::lock_progress(client) {
            sql_error::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "applying is paused",
                "Call cdc.resume() to go on.",
            );
        }
        loop {
            let left = max_events.map_or(batch_size, |max| (max - total.events).min(batch_size));
            if left == 0 {
                break;
            }
            let Batch { messages, more } = inbox::next_batch(client, left);
            total.add(apply_or_rotate(client, &messages));
            pgrx::check_for_interrupts!();
            if !more {
                break;
            }
        }
        total
    })
}

#[pg_extern]
fn flush(timeout: default!(Option<Interval>, "'1 minute'")) -> bool {
    let seconds = timeout.and_then(|interval| interval.extract_part(DateTimeParts::Epoch));
    let seconds = seconds.and_then(|seconds| f64::try_from(seconds).ok()).unwrap_or(60.0).max(0.0);
    let deadline = Instant::now() + Duration::from_secs_f64(seconds.min(86_400.0 * 365.0));
    // The inbox as this call sees it: what arrives later is not waited for, only applied in passing.
    let mut applied = 0;
    let waiting = waiting();
    while inbox::has_unapplied() && applied < waiting {
        if Instant::now() >= deadline {
            sql_error::raise(
                PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                format!("{} of {waiting} messages are not applied within the timeout", waiting - applied),
                "Look at cdc.stat_streams for what is pending, or call cdc.flush() with a longer timeout.",
            );
        }
        applied += apply_waiting(Some(i64::from(BATCH_SIZE.get()))).events;
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

/// Applies a batch; with nothing to apply there is time to empty partitions. The caller holds the progress lock.
fn apply_or_rotate(client: &mut SpiClient<'_>, messages: &[Message]) -> Counts {
    if messages.is_empty() {
        inbox::rotate(client);
        return Counts::default();
    }
    apply_messages(client, messages)
}

fn apply_messages(client: &mut SpiClient<'_>, messages: &[Message]) -> Counts {
    let targets = Targets::load(client);
    let mut counts = Counts { events: messages.len() as i64, ..Counts::default() };
    let mut dead = Vec::new();
    let mut folds: HashMap<usize, Fold<'_>> = HashMap::new();
    let mut planned = 0;
    for (place, message) in messages.iter().enumerate() {
        match plan_message(&targets, message, place) {
            Ok(Some((target, changes))) => {
                planned += changes.len() as i64;
                let fold = folds.entry(target).or_default();
                changes.into_iter().for_each(|change| fold.push(change));
            }
            Ok(None) => (),
            Err(reject) => dead.push(DeadLetter::new(message, None, reject)),
        }
    }
    let mut folds: Vec<_> = folds.into_iter().collect();
    // Always in the same order, so that two sessions lock tables in the same order.
    folds.sort_unstable_by_key(|(target, _)| *target);
    let mut applied = 0;
    for (index, fold) in folds {
        for round in fold.into_rounds() {
            let outcome = round::apply_round(client, &targets[index], round);
            applied += outcome.upserted + outcome.deleted + outcome.refused.len() as i64;
            counts.upserted += outcome.upserted;
            counts.deleted += outcome.deleted;
            dead.extend(outcome.refused.into_iter().map(|refused| {
                DeadLetter::new(&messages[refused.message], Some(refused.source_pos), refused.reject)
            }));
        }
    }
    counts.stale = planned - applied;
    counts.dead_lettered = dead.len() as i64;
    dead_letters::write(client, &dead);
    progress::record(client, messages, &dead);
    counts
}

type Planned<'a> = Option<(usize, Vec<cdc_core::RowChange<'a>>)>;

/// From a message to its target and row changes; `None` for messages that change nothing by their nature.
fn plan_message<'a>(targets: &Targets, message: &'a Message, place: usize) -> Result<Planned<'a>, Reject> {
    let seq = message.seq.unsigned_abs();
    let event = match decode(&message.topic, &message.payload, seq)? {
        Decoded::Change(event) => event,
        Decoded::Control => return Ok(None),
    };
    let Some(index) = targets.find(&event.source) else {
        let text = format!("no target is attached to the source table {}", event.source);
        return Err(Reject::at(ErrorType::UnknownSource, "payload.source.table", text));
    };
    let changes = targets[index].plan()?.changes(&event, place)?;
    Ok(Some((index, changes)))
}
