//! From a batch of messages to written rows: decode and plan each, fold them by key, write them table by table.

use std::collections::{BTreeMap, HashMap, HashSet};

use cdc_core::{Decoded, Decoder, ErrorType, Event, Fold, Operation, Position, Reject};
use pgrx::spi::SpiClient;

use super::Counts;
use super::auto_attach::attach_themselves;
use super::dead_letters::Rejected;
use super::evolve;
use super::round::{self, RoundOutcome};
use super::schema_history;
use super::target_cache;
use super::targets::Targets;
use super::truncate::{self, Truncate};
use crate::inbox::Message;
use crate::outbox;
use crate::settings;

/// What a batch of messages came to.
pub(crate) struct Applied {
    pub(crate) counts: Counts,
    /// The messages that could not be applied, each once and in order.
    pub(crate) rejected: Vec<Rejected>,
    /// The places of the messages that change nothing by their nature: heartbeats and the like.
    pub(crate) controls: Vec<usize>,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    pub(super) newest: Option<i64>,
}

/// Applies messages within a [`Transaction`](super::Transaction).
pub(super) fn apply_messages(client: &mut SpiClient<'_>, messages: &[Message<'_>]) -> Applied {
    outbox::route_messages(client, messages);
    let Decoding { events, controls, mut rejected } = decode(messages);
    let mut targets = target_cache::take(client);
    attach_themselves(client, &mut targets, &events);
    if evolve::add_what_is_missing(&targets, &events) {
        targets = target_cache::load(client);
    }
    for (place, event) in &events {
        if let Some(index) = targets.find(&event.source) {
            targets[index].observe(event, *place);
        }
    }
    schema_history::record(client, &mut targets, messages);
    let mut planned = plan(&targets, &events);
    let misfits = planned.misfits.iter().map(|(index, at)| (*index, &events[*at].1));
    if evolve::widen_columns(&targets, misfits) {
        targets = target_cache::load(client);
        planned = plan(&targets, &events);
    }
    rejected.append(&mut planned.rejected);
    let counts = Counts { events: messages.len() as i64, ..Counts::default() };
    let newest = planned.newest;
    let counts = write(client, &mut targets, &events, planned, counts, &mut rejected);
    target_cache::keep(targets);
    Applied { counts, rejected, controls, newest }
}

/// What messages turned out to be.
#[derive(Default)]
struct Decoding<'m> {
    /// The change events, each with the place of its message.
    events: Vec<(usize, Event<'m>)>,
    controls: Vec<usize>,
    rejected: Vec<Rejected>,
}

fn decode<'m>(messages: &'m [Message<'_>]) -> Decoding<'m> {
    let mut decoder = Decoder::new(settings::decoding());
    let mut decoding = Decoding { events: Vec::with_capacity(messages.len()), ..Decoding::default() };
    for (place, message) in messages.iter().enumerate() {
        match decoder.decode(&message.to_decode()) {
            Ok(Decoded::Change(event)) => decoding.events.push((place, event)),
            Ok(Decoded::Control(_)) => decoding.controls.push(place),
            Err(reject) => decoding.rejected.push(Rejected { message: place, source_pos: None, reject }),
        }
    }
    decoding
}

/// What the events of a batch come to.
#[derive(Default)]
struct Planned<'a> {
    /// The changes of each target.
    folds: BTreeMap<usize, Fold<'a>>,
    /// The newest truncate of each target.
    truncates: BTreeMap<usize, Truncate>,
    /// The number of changes before they were folded.
    changes: i64,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    newest: Option<i64>,
    rejected: Vec<Rejected>,
    /// Events with values that do not fit: their targets, and their places in the list of events.
    misfits: Vec<(usize, usize)>,
}

fn plan<'a>(targets: &Targets, events: &[(usize, Event<'a>)]) -> Planned<'a> {
    let mut planned = Planned::default();
    for (at, (message, event)) in events.iter().enumerate() {
        let reject = match planned.add_changes(targets, event, *message) {
            Ok(index) => {
                if event.op == Operation::Truncate {
                    let truncate = || Truncate { position: event.position.clone(), message: *message };
                    let newest = planned.truncates.entry(index).or_insert_with(truncate);
                    if newest.position < event.position {
                        *newest = truncate();
                    }
                }
                planned.newest = planned.newest.max(event.source_ts);
                continue;
            }
            Err(reject) => reject,
        };
        if reject.error_type == ErrorType::SchemaMismatch {
            planned.misfits.extend(targets.find(&event.source).map(|index| (index, at)));
        }
        let source_pos = Some(event.position.as_bytes().to_vec());
        planned.rejected.push(Rejected { message: *message, source_pos, reject });
    }
    planned
}

impl<'a> Planned<'a> {
    /// Adds the changes that an event makes to those of its target; returns the target.
    fn add_changes(&mut self, targets: &Targets, event: &Event<'a>, message: usize) -> Result<usize, Reject> {
        let Some(index) = targets.find(&event.source) else {
            let text = format!("no target is attached to the source table {}", event.source);
            return Err(Reject::at(ErrorType::UnknownSource, "payload.source.table", text));
        };
        let plan = targets[index].plan()?;
        let fold = self.folds.entry(index).or_default();
        plan.each_change(event, message, |change| {
            self.changes += 1;
            fold.push(change);
        })?;
        Ok(index)
    }
}

/// Writes what was planned, target by target.
fn write(
    client: &mut SpiClient<'_>,
    targets: &mut Targets,
    events: &[(usize, Event<'_>)],
    planned: Planned<'_>,
    mut counts: Counts,
    rejected: &mut Vec<Rejected>,
) -> Counts {
    for (index, truncate) in planned.truncates {
        let outcome = truncate::apply(client, &mut targets[index], &truncate);
        counts.upserted += outcome.upserted;
        counts.deleted += outcome.deleted;
        rejected.extend(outcome.refused);
    }
    let mut applied = 0;
    // Always in the same order, so that two sessions lock tables in the same order.
    for (index, fold) in planned.folds {
        let mut outcome = RoundOutcome::default();
        for round in fold.into_rounds() {
            outcome.add(round::apply_round(client, &targets[index], round));
        }
        for round in beside_refused(targets, index, events, &outcome).into_rounds_of_all() {
            outcome.add(round::apply_round(client, &targets[index], round));
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
    counts
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
