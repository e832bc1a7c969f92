//! Alerts: told once for each key, until the condition has been false again.

use std::collections::HashSet;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::documents::{self, Batch};
use super::evaluate::{Answer, Source, Wanted, ask};
use super::rules::{Alert, Rules};
use crate::apply::parameter;
use crate::changed_rows::ChangedRows;
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// Looks at rows that were inserted or updated.
pub(super) fn look_at_changed(client: &mut SpiClient<'_>, alert: &Alert, rows: &ChangedRows<'_>) {
    let wanted = met_or_firing(client, alert, rows.new_len());
    ask(client, &alert.question, &Source::new_rows(rows), &wanted, |client, answer| {
        settle(client, alert, answer);
    });
}

/// Looks at the alerts on views, whose changes no trigger sees.
pub(crate) fn poll() {
    Spi::connect_mut(|client| {
        for alert in Rules::current(client).polled_alerts() {
            let mut met = Vec::new();
            let complete = ask(
                client,
                &alert.question,
                &Source::relation(&alert.table),
                &Wanted::Met,
                |client, answer| {
                    met.extend(answer.keys.clone());
                    settle(client, alert, answer);
                },
            );
            if complete {
                forget_others(client, alert, met);
            }
        }
    });
}

/// What has to be known of so many rows: with nothing firing, nothing can cease to, and rows that do not meet the
/// condition need not be looked at. With more keys firing than there are rows, all of these are looked at.
fn met_or_firing(client: &mut SpiClient<'_>, alert: &Alert, rows: i64) -> Wanted {
    let firing = firing(client, alert, rows + 1);
    if firing.is_empty() {
        Wanted::Met
    } else if firing.len() as i64 <= rows {
        Wanted::MetOr(firing)
    } else {
        Wanted::All
    }
}

/// Keys that are firing, at most so many.
fn firing(client: &mut SpiClient<'_>, alert: &Alert, limit: i64) -> Vec<String> {
    let sql = "select array_agg(f.key) from (select key from cdc.alerts_firing where alert = $1 limit $2) f";
    let read = plan_cache::update(client, sql, &[alert.question.rule.as_str().into(), limit.into()]);
    let firing = read.and_then(|row| row.one::<Vec<String>>());
    firing.unwrap_or_else(|error| spi_failed("cannot read cdc.alerts_firing", &error)).unwrap_or_default()
}

/// A key of which one row meets the condition is firing, whatever its other rows.
const SETTLE: &str = "
    with changed as (
        select c.key, (array_agg(c.payload) filter (where c.payload is not null))[1] as payload
          from unnest($2::text[], $3::text[]) as c(key, payload) where c.key is not null group by c.key
    ), cleared as (
        delete from cdc.alerts_firing f using changed c where f.alert = $1 and f.key = c.key and c.payload is null
    ), fired as (
        insert into cdc.alerts_firing (alert, key) select $1, c.key from changed c where c.payload is not null
        on conflict do nothing returning key
    )
    select array_agg(key) from fired";

/// Tells of keys that meet the condition and did not before, and forgets those that do not any more.
fn settle(client: &mut SpiClient<'_>, alert: &Alert, answer: Answer) {
    let args = [
        alert.question.rule.as_str().into(),
        parameter("text", answer.keys.clone()).datum,
        parameter("text", answer.payloads.clone()).datum,
    ];
    let fired = plan_cache::update(client, SETTLE, &args).and_then(|row| row.one::<Vec<String>>());
    let fired = fired.unwrap_or_else(|error| spi_failed("cannot write cdc.alerts_firing", &error));
    let mut fired: HashSet<String> = fired.unwrap_or_default().into_iter().collect();
    let mut batch = Batch::default();
    for (key, payload) in answer.keys.into_iter().zip(answer.payloads) {
        // Each key once, as it was written.
        if payload.is_some() && key.as_ref().is_some_and(|key| fired.remove(key)) {
            batch.keys.push(key);
            batch.payloads.push(payload);
        }
    }
    if !batch.keys.is_empty() {
        documents::of_alert(client, alert, batch);
    }
}

/// Forgets the keys that rows have left by an update of their keys, which is rare.
pub(super) fn forget_moved(client: &mut SpiClient<'_>, alert: &Alert, rows: &ChangedRows<'_>) {
    if !rows.differ_in(&alert.key_columns) {
        return;
    }
    let key = &alert.key;
    let sql = format!("select exists (select {key} from old_rows except select {key} from new_rows)");
    let moved = client.update(&sql, Some(1), &[]).and_then(|row| row.first().get_one::<bool>());
    match moved {
        Ok(Some(true)) => forget_deleted(client, alert, rows),
        Ok(_) => (),
        Err(error) => spi_failed("cannot compare the keys of changed rows", &error),
    }
}

/// Forgets the keys of rows as they were before the change. Those that still meet the condition are told of again.
pub(super) fn forget_deleted(client: &mut SpiClient<'_>, alert: &Alert, rows: &ChangedRows<'_>) {
    let wanted = met_or_firing(client, alert, rows.old_len());
    if matches!(wanted, Wanted::Met) {
        return;
    }
    ask(client, &alert.question, &Source::old_rows(rows), &wanted, |client, answer| {
        let sql = "delete from cdc.alerts_firing where alert = $1 and key = any ($2)";
        delete(client, sql, &[alert.question.rule.as_str().into(), parameter("text", answer.keys).datum]);
    });
}

/// Forgets all keys but these.
fn forget_others(client: &mut SpiClient<'_>, alert: &Alert, keys: Vec<Option<String>>) {
    let sql = "delete from cdc.alerts_firing where alert = $1 and not key = any ($2)";
    let keys = keys.into_iter().filter(Option::is_some).collect();
    delete(client, sql, &[alert.question.rule.as_str().into(), parameter("text", keys).datum]);
}

/// Forgets all keys: the table is empty.
pub(super) fn forget_all(client: &mut SpiClient<'_>, alert: &Alert) {
    delete(client, "delete from cdc.alerts_firing where alert = $1", &[alert.question.rule.as_str().into()]);
}

fn delete(client: &mut SpiClient<'_>, sql: &str, args: &[DatumWithOid<'_>]) {
    if let Err(error) = plan_cache::update(client, sql, args) {
        spi_failed("cannot write cdc.alerts_firing", &error);
    }
}
