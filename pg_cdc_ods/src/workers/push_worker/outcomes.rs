//! Recording what became of deliveries: removed, due again later, or dead.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cdc_push::{Fate, Outcome};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::Held;
use crate::apply::parameter;
use crate::sql_error::spi_failed;

/// What became of the deliveries to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: i64,
    pub(super) retried: i64,
    pub(super) dead: i64,
    /// Status of the last answer.
    pub(super) last_status: Option<i32>,
    /// The last thing that went wrong.
    pub(super) last_error: Option<String>,
}

/// Tallies by the names of endpoints.
pub(super) type Tallies = BTreeMap<String, Tally>;

/// Records outcomes in the current transaction.
pub(super) fn record(outcomes: &[Outcome], held: &HashMap<i64, Held>) -> Tallies {
    let of_kind =
        |wanted: fn(&Fate) -> bool| outcomes.iter().filter(move |outcome| wanted(&outcome.fate)).collect();
    remove_delivered(of_kind(|fate| *fate == Fate::Delivered));
    put_off(of_kind(|fate| !fate.is_final()));
    bury(of_kind(|fate| matches!(fate, Fate::Dead { .. })));
    let mut tallies = Tallies::new();
    for outcome in outcomes {
        if let Some(held) = held.get(&outcome.id) {
            tallies.entry(held.endpoint.clone()).or_default().count(outcome);
        }
    }
    tallies
}

/// How long a delivery waits that is not over.
pub(super) fn pause(outcome: &Outcome) -> Duration {
    match outcome.fate {
        Fate::Retry { after, .. } | Fate::Postponed { after, .. } => after,
        Fate::Delivered | Fate::Dead { .. } => Duration::ZERO,
    }
}

/// What went wrong with an attempt, if something did.
fn problem(outcome: &Outcome) -> Option<&str> {
    match &outcome.fate {
        Fate::Retry { error, .. } | Fate::Dead { error } => Some(error),
        Fate::Delivered | Fate::Postponed { .. } => None,
    }
}

fn status(outcome: &Outcome) -> Option<i32> {
    outcome.exchange.as_ref()?.status.map(i32::from)
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        match &outcome.fate {
            Fate::Delivered => self.delivered += 1,
            Fate::Retry { .. } => self.retried += 1,
            Fate::Dead { .. } => self.dead += 1,
            Fate::Postponed { .. } => return,
        }
        self.last_status = status(outcome);
        if let Some(problem) = problem(outcome) {
            self.last_error = Some(problem.to_owned());
        }
    }
}

fn ids(outcomes: &[&Outcome]) -> DatumWithOid<'static> {
    parameter("bigint", outcomes.iter().map(|outcome| Some(outcome.id)).collect()).datum
}

fn statuses(outcomes: &[&Outcome]) -> DatumWithOid<'static> {
    parameter("integer", outcomes.iter().map(|outcome| status(outcome)).collect()).datum
}

fn problems(outcomes: &[&Outcome]) -> DatumWithOid<'static> {
    parameter("text", outcomes.iter().map(|outcome| problem(outcome).map(str::to_owned)).collect()).datum
}

fn remove_delivered(outcomes: Vec<&Outcome>) {
    if !outcomes.is_empty() {
        run("delete from cdc.outbox where id = any ($1)", &[ids(&outcomes)]);
    }
}

const PUT_OFF: &str = "
    update cdc.outbox o
       set leased_until = null, due_at = now() + e.pause * interval '1 second',
           attempts = o.attempts + e.counted, last_status = coalesce(e.status, o.last_status),
           last_error = coalesce(e.error, o.last_error)
      from unnest($1::bigint[], $2::double precision[], $3::integer[], $4::integer[], $5::text[])
           as e(id, pause, counted, status, error)
     where o.id = e.id";

fn put_off(outcomes: Vec<&Outcome>) {
    if outcomes.is_empty() {
        return;
    }
    let counted = |outcome: &&Outcome| Some(i32::from(matches!(outcome.fate, Fate::Retry { .. })));
    let args = [
        ids(&outcomes),
        parameter(
            "double precision",
            outcomes.iter().map(|outcome| Some(pause(outcome).as_secs_f64())).collect(),
        )
        .datum,
        parameter("integer", outcomes.iter().map(counted).collect()).datum,
        statuses(&outcomes),
        problems(&outcomes),
    ];
    run(PUT_OFF, &args);
}

const BURY: &str = "
    with dead as (
        delete from cdc.outbox o
         using unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) as e(id, status, error, answer)
         where o.id = e.id
        returning o.*, e.status, e.error, e.answer
    )
    insert into cdc.dlq (original_topic, stream, seq, error_type, error_message, payload, payload_json, first_failure_at,
                         delivery)
    select 'push/' || endpoint, 'push', id, case when status between 200 and 499 then 'PUSH_REFUSED' else 'PUSH_FAILED' end,
           error, convert_to(body::text, 'UTF8'), body, created_at,
           jsonb_build_object('endpoint', endpoint, 'event_id', event_id, 'key', key, 'kind', kind, 'rule', rule,
                              'status', status, 'answer', answer, 'attempts', attempts + 1)
      from dead order by id";

fn bury(outcomes: Vec<&Outcome>) {
    if outcomes.is_empty() {
        return;
    }
    let answer = |outcome: &&Outcome| Some(outcome.exchange.as_ref()?.excerpt.clone());
    let args = [
        ids(&outcomes),
        statuses(&outcomes),
        problems(&outcomes),
        parameter("text", outcomes.iter().map(answer).collect()).datum,
    ];
    run(BURY, &args);
}

fn run(sql: &str, args: &[DatumWithOid<'_>]) {
    if let Err(error) = Spi::run_with_args(sql, args) {
        spi_failed("cannot record what became of deliveries", &error);
    }
}
