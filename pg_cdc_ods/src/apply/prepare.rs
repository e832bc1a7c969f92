//! From messages to rounds of row changes: decode, plan, fold, extract documents. PostgreSQL is not asked for any of it, so a
//! thread may do it for one batch while another is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use cdc_core::{
    DecodeSettings, Decoded, Decoder, ErrorType, Event, Fold, Operation, Reject, RowChange, XmlLimits,
};

use super::dead_letters::Rejected;
use super::round::Round;
use super::target_plans::TargetPlans;
use super::truncate::Truncate;
use crate::messages::Message;
use crate::settings;

/// The settings that preparing obeys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    decoding: DecodeSettings,
    pub(super) xml: XmlLimits,
}

impl Limits {
    /// As they are set now.
    pub(super) fn current() -> Self {
        Self { decoding: settings::decoding(), xml: settings::xml_limits() }
    }
}

/// Messages and what they turned out to be.
pub(super) struct Prepared<'m> {
    pub(super) messages: Vec<Message<'m>>,
    /// The change events, each with the place of its message.
    pub(super) events: Vec<(usize, Event<'m>)>,
    /// The places of the messages that change nothing by their nature: heartbeats and the like.
    pub(super) controls: Vec<usize>,
    /// The messages that cannot be decoded.
    pub(super) rejected: Vec<Rejected>,
    limits: Limits,
    planned: Option<(Arc<TargetPlans>, Planned<'m>)>,
}

impl<'m> Prepared<'m> {
    /// Decodes messages.
    pub(super) fn decode(messages: Vec<Message<'m>>, limits: Limits) -> Self {
        let mut decoder = Decoder::new(limits.decoding);
        let mut events = Vec::with_capacity(messages.len());
        let (mut controls, mut rejected) = (Vec::new(), Vec::new());
        for (place, message) in messages.iter().enumerate() {
            match decoder.decode(&message.to_decode()) {
                Ok(Decoded::Change(event)) => events.push((place, event)),
                Ok(Decoded::Control(_)) => controls.push(place),
                Err(reject) => rejected.push(Rejected { message: place, source_pos: None, reject }),
            }
        }
        Self { messages, events, controls, rejected, limits, planned: None }
    }

    /// Plans the events in advance.
    pub(super) fn plan(&mut self, plans: Arc<TargetPlans>) {
        let planned = Planned::new(&plans, &self.events, &self.limits.xml);
        self.planned = Some((plans, planned));
    }

    /// The plan of the events with these plans of targets: the one that was made in advance, if it was made with them.
    pub(super) fn take_planned(&mut self, plans: &Arc<TargetPlans>) -> Planned<'m> {
        match self.planned.take() {
            Some((used, planned)) if Arc::ptr_eq(&used, plans) => planned,
            _ => Planned::new(plans, &self.events, &self.limits.xml),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What the events of a batch come to.
#[derive(Default)]
pub(super) struct Planned<'m> {
    /// The changes of each target, in rounds.
    pub(super) rounds: BTreeMap<usize, Vec<Round<'m>>>,
    /// The newest truncate of each target.
    pub(super) truncates: BTreeMap<usize, Truncate>,
    /// The number of changes before they were folded.
    pub(super) changes: i64,
    /// The source's time of the newest change, in microseconds since the Unix epoch.
    pub(super) newest: Option<i64>,
    pub(super) rejected: Vec<Rejected>,
    /// Events with values that do not fit: their targets, and their places in the list of events.
    pub(super) misfits: Vec<(usize, usize)>,
}

impl<'m> Planned<'m> {
    fn new(plans: &TargetPlans, events: &[(usize, Event<'m>)], limits: &XmlLimits) -> Self {
        let (mut planned, mut folds) = (Self::default(), BTreeMap::new());
        for (at, (message, event)) in events.iter().enumerate() {
            match planned.fold(plans, event, *message, &mut folds) {
                Ok(target) => planned.note(target, event, *message),
                Err(reject) => planned.reject(plans, at, *message, event, reject),
            }
        }
        let rounds = |(target, fold): (usize, Fold<'m>)| {
            let round = |changes: Vec<RowChange<'m>>| Round::new(plans.get(target), limits, changes);
            (target, fold.into_rounds().into_iter().map(round).collect())
        };
        planned.rounds = folds.into_iter().map(rounds).collect();
        planned
    }

    /// Adds the changes that an event makes to those of its target; returns the target.
    fn fold(
        &mut self,
        plans: &TargetPlans,
        event: &Event<'m>,
        message: usize,
        folds: &mut BTreeMap<usize, Fold<'m>>,
    ) -> Result<usize, Reject> {
        let Some(target) = plans.find(&event.source) else {
            let text = format!("no target is attached to the source table {}", event.source);
            return Err(Reject::at(ErrorType::UnknownSource, "payload.source.table", text));
        };
        let plan = plans.get(target).plan()?;
        let fold = folds.entry(target).or_default();
        plan.each_change(event, message, |change| {
            self.changes += 1;
            fold.push(change);
        })?;
        Ok(target)
    }

    /// Keeps the time of an event, and what it is if it is a truncate.
    fn note(&mut self, target: usize, event: &Event<'_>, message: usize) {
        if event.op == Operation::Truncate {
            let truncate = || Truncate { position: event.position.clone(), message };
            let newest = self.truncates.entry(target).or_insert_with(truncate);
            if newest.position < event.position {
                *newest = truncate();
            }
        }
        self.newest = self.newest.max(event.source_ts);
    }

    fn reject(&mut self, plans: &TargetPlans, at: usize, message: usize, event: &Event<'_>, reject: Reject) {
        if reject.error_type == ErrorType::SchemaMismatch {
            self.misfits.extend(plans.find(&event.source).map(|target| (target, at)));
        }
        let source_pos = Some(event.position.as_bytes().to_vec());
        self.rejected.push(Rejected { message, source_pos, reject });
    }
}
