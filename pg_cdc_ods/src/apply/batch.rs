//! From a batch of messages to written rows: decode and plan each, fold them by key, write them table by table.

use std::collections::HashMap;

use cdc_core::{Decoded, ErrorType, Fold, Reject, RowChange, decode};
use pgrx::pg_sys;
use pgrx::spi::SpiClient;

use super::Counts;
use super::dead_letters::Rejected;
use super::guard::as_user;
use super::round;
use super::schema_history;
use super::targets::Targets;
use crate::inbox::Message;
use crate::settings;
use crate::sql_error::spi_failed;

/// Applies messages in the current transaction; returns what was done, and the messages that could not be applied,
/// each once and in order.
///
/// The caller holds the progress lock, and keeps what was rejected.
pub(crate) fn apply_messages(client: &mut SpiClient<'_>, messages: &[Message]) -> (Counts, Vec<Rejected>) {
    fire_constraints_at_once(client);
    let mut targets = Targets::load(client);
    let mut rejected = Vec::new();
    let mut folds: HashMap<usize, Fold<'_>> = HashMap::new();
    let mut planned = 0;
    for (place, message) in messages.iter().enumerate() {
        match plan_message(&mut targets, message, place) {
            Ok(Some((target, changes))) => {
                planned += changes.len() as i64;
                let fold = folds.entry(target).or_default();
                changes.into_iter().for_each(|change| fold.push(change));
            }
            Ok(None) => (),
            Err(reject) => rejected.push(Rejected { message: place, source_pos: None, reject }),
        }
    }
    schema_history::record(client, &mut targets, messages);
    let mut folds: Vec<_> = folds.into_iter().collect();
    // Always in the same order, so that two sessions lock tables in the same order.
    folds.sort_unstable_by_key(|(target, _)| *target);
    let mut counts = Counts { events: messages.len() as i64, ..Counts::default() };
    let mut applied = 0;
    for (index, fold) in folds {
        for round in fold.into_rounds() {
            let outcome = round::apply_round(client, &targets[index], round);
            applied += outcome.upserted + outcome.deleted + outcome.refused.len() as i64;
            counts.upserted += outcome.upserted;
            counts.deleted += outcome.deleted;
            rejected.extend(outcome.refused);
            rejected.extend(outcome.without_document);
        }
    }
    // An update that moves its row makes two changes, and both may be refused.
    rejected.sort_by_key(|rejected| rejected.message);
    rejected.dedup_by_key(|rejected| rejected.message);
    counts.stale = planned - applied;
    counts.dead_lettered = rejected.len() as i64;
    (counts, rejected)
}

type Planned<'a> = Option<(usize, Vec<RowChange<'a>>)>;

/// From a message to its target and row changes; `None` for messages that change nothing by their nature.
fn plan_message<'a>(
    targets: &mut Targets,
    message: &'a Message,
    place: usize,
) -> Result<Planned<'a>, Reject> {
    check_size(&message.payload)?;
    let seq = message.seq.unsigned_abs();
    let event = match decode(&message.topic, &message.payload, seq)? {
        Decoded::Change(event) => event,
        Decoded::Control(_) => return Ok(None),
    };
    let Some(index) = targets.find(&event.source) else {
        let text = format!("no target is attached to the source table {}", event.source);
        return Err(Reject::at(ErrorType::UnknownSource, "payload.source.table", text));
    };
    let target = &mut targets[index];
    target.observe(&event, place);
    let changes = target.plan()?.changes(&event, place)?;
    Ok(Some((index, changes)))
}

fn check_size(payload: &[u8]) -> Result<(), Reject> {
    let limit = usize::try_from(settings::MAX_MESSAGE_KB.get()).unwrap_or_default() * 1024;
    if payload.len() <= limit {
        return Ok(());
    }
    let text = format!("the payload has {} bytes; pg_cdc_ods.max_message_size allows {limit}", payload.len());
    Err(Reject::whole(ErrorType::TooLarge, text))
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
