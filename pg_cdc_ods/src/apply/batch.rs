//! From a batch of messages to written rows: decode and plan each, fold them by key, write them table by table.

use std::collections::HashMap;

use cdc_core::{Decoded, ErrorType, Fold, Reject, RowChange, decode};
use pgrx::spi::SpiClient;

use super::Counts;
use super::dead_letters::Rejected;
use super::round;
use super::schema_history;
use super::targets::Targets;
use crate::inbox::Message;

/// Applies messages in the current transaction; returns what was done, and the messages that could not be applied,
/// each once and in order.
///
/// The caller holds the progress lock, and keeps what was rejected.
pub(crate) fn apply_messages(client: &mut SpiClient<'_>, messages: &[Message]) -> (Counts, Vec<Rejected>) {
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
    let seq = message.seq.unsigned_abs();
    let event = match decode(&message.topic, &message.payload, seq)? {
        Decoded::Change(event) => event,
        Decoded::Control => return Ok(None),
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
