//! The trigger of the tables that rules look at.

use std::convert::Infallible;

use cdc_core::RowEvent;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::alerts;
use super::documents::{self, Batch};
use super::evaluate::{Source, Wanted, ask};
use super::rules::{Alert, Rules};
use crate::changed_rows::{self, Change, ChangedRows};

/// Statement trigger with transition tables `old_rows` and `new_rows`, made by `cdc.alert()` and `cdc.route()`.
#[pg_trigger]
fn rules_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    changed_rows::tell(trigger, |client, relation, change| {
        let rules = Rules::current(client);
        match change {
            Change::Rows(rows) => rows.with_names(|| tell(client, &rules, &rows)),
            Change::Truncate => rules.alerts_on(relation).for_each(|alert| alerts::forget_all(client, alert)),
        }
    });
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

fn tell(client: &mut SpiClient<'_>, rules: &Rules, rows: &ChangedRows<'_>) {
    for alert in rules.alerts_on(rows.relation) {
        look(client, alert, rows);
    }
    let (source, operation) = match rows.event {
        RowEvent::Insert => (Source::new_rows(rows), "insert"),
        RowEvent::Update => (Source::new_rows(rows), "update"),
        RowEvent::Delete => (Source::old_rows(rows), "delete"),
    };
    let routes = rules.routes_of(rows.relation);
    for route in routes.filter(|route| route.operations.iter().any(|name| name == operation)) {
        ask(client, &route.question, &source, &Wanted::Met, |client, answer| {
            documents::of_route(
                client,
                route,
                operation,
                Batch { keys: answer.keys, payloads: answer.payloads },
            );
        });
    }
}

fn look(client: &mut SpiClient<'_>, alert: &Alert, rows: &ChangedRows<'_>) {
    match rows.event {
        RowEvent::Insert => alerts::look_at_changed(client, alert, rows),
        RowEvent::Update => {
            alerts::forget_moved(client, alert, rows);
            alerts::look_at_changed(client, alert, rows);
        }
        RowEvent::Delete => alerts::forget_deleted(client, alert, rows),
    }
}
