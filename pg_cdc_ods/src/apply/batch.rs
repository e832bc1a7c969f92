//! Writes a batch of messages: lets targets follow their sources, then applies what was planned, table by table.

use std::collections::{HashMap, HashSet};

use cdc_core::{Event, Fold, Position};
use pgrx::spi::SpiClient;

use super::Counts;
use super::auto_attach::attach_themselves;
use super::dead_letters::Rejected;
use super::evolve;
use super::prepare::{Planned, Prepared};
use super::round::{self, Round, RoundOutcome};
use super::schema_history;
use super::target_cache;
use super::targets::Targets;
use super::truncate;
use crate::outbox;

/// What a batch of messages came to.
pub(crate) struct Applied {
    pub(crate) counts: Counts,
    /// The messages that could not be applied, each once and in order.
    pub(crate) rejected: Vec<Rejected>,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    pub(super) newest: Option<i64>,
}

/// Applies messages within a [`Transaction`](super::Transaction).
pub(super) fn apply(client: &mut SpiClient<'_>, prepared: &mut Prepared<'_>) -> Applied {
    outbox::route_messages(client, &prepared.messages);
    let mut targets = target_cache::take(client);
    let events = &prepared.events;
    attach_themselves(client, &mut targets, events);
    if evolve::add_what_is_missing(&targets, events) {
        targets = target_cache::load(client);
    }
    for (place, event) in events {
        if let Some(index) = targets.find(&event.source) {
            targets[index].observe(event, *place);
        }
    }
    schema_history::record(client, &mut targets, &prepared.messages);
    let mut planned = prepared.take_planned(targets.plans());
    let misfits = planned.misfits.iter().map(|(index, at)| (*index, &prepared.events[*at].1));
    if evolve::widen_columns(&targets, misfits) {
        targets = target_cache::load(client);
        planned = prepared.take_planned(targets.plans());
    }
    let applied = write(client, &mut targets, prepared, planned);
    target_cache::keep(targets);
    applied
}

/// Writes what was planned, target by target.
fn write(
    client: &mut SpiClient<'_>,
    targets: &mut Targets,
    prepared: &mut Prepared<'_>,
    mut planned: Planned<'_>,
) -> Applied {
    let mut counts = Counts { events: prepared.messages.len() as i64, ..Counts::default() };
    let mut rejected = std::mem::take(&mut prepared.rejected);
    rejected.append(&mut planned.rejected);
    for (index, truncate) in planned.truncates {
        let outcome = truncate::apply(client, &mut targets[index], &truncate);
        counts.upserted += outcome.upserted;
        counts.deleted += outcome.deleted;
        rejected.extend(outcome.refused);
    }
    let mut applied = 0;
    // Always in the same order, so that two sessions lock tables in the same order.
    for (index, rounds) in planned.rounds {
        let target = &targets[index];
        let mut outcome = RoundOutcome::default();
        for round in rounds {
            outcome.add(round::apply_round(client, target, round));
        }
        for changes in beside_refused(targets, index, &prepared.events, &outcome).into_rounds_of_all() {
            let round = Round::new(target.target_plan(), &prepared.limits().xml, changes);
            outcome.add(round::apply_round(client, target, round));
        }
        applied += outcome.upserted + outcome.deleted + outcome.refused.len() as i64;
        counts.upserted += outcome.upserted;
        counts.deleted += outcome.deleted;
        rejected.extend(outcome.refused);
        rejected.extend(outcome.without_document);
    }
    // An update that moves its row makes two changes, and both may be refused.
    rejected.sort_by_key(|rejected| rejected.message);
    rejected.dedup_by_key(|rejected| rejected.message);
    counts.stale = planned.changes - applied;
    counts.dead_lettered = rejected.len() as i64;
    Applied { counts, rejected, newest: planned.newest }
}

/// The other changes of keys of which a change was refused, or applied without its document: the fold has dropped older
/// ones that now count, as they would have in a batch of their own.
fn beside_refused<'a>(
    targets: &Targets,
    index: usize,
    events: &[(usize, Event<'a>)],
    outcome: &RoundOutcome,
) -> Fold<'a> {
    let refused = outcome.refused.iter().chain(&outcome.without_document);
    let refused = refused.map(|rejected| rejected.message).chain(outcome.skipped_document.iter().copied());
    let refused: HashSet<usize> = refused.collect();
    let mut fold = Fold::default();
    if refused.is_empty() {
        return fold;
    }
    let Ok(plan) = targets[index].plan() else { return fold };
    let of_target = || events.iter().filter(|(_, event)| targets.find(&event.source) == Some(index));
    // Where a message came twice, the other copy would be refused as well.
    let mut failed: HashMap<Vec<u8>, Vec<&Position>> = HashMap::new();
    for (message, event) in of_target().filter(|(message, _)| refused.contains(message)) {
        for change in plan.changes(event, *message).unwrap_or_default() {
            failed.entry(change.key_bytes).or_default().push(&event.position);
        }
    }
    for (message, event) in of_target() {
        for change in plan.changes(event, *message).unwrap_or_default() {
            if failed.get(&change.key_bytes).is_some_and(|positions| !positions.contains(&&change.position)) {
                fold.push(change);
            }
        }
    }
    fold
}
