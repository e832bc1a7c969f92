//! The trigger of the tables that rules look at.

use std::convert::Infallible;

use cdc_core::RowEvent;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::alerts;
use super::documents::{self, Batch};
use super::evaluate::{Source, Wanted, ask};
use super::rules::{Alert, Route};
use crate::enrich::tell_change;

/// Statement trigger with transition tables `old_rows` and `new_rows`, made by `cdc.alert()` and `cdc.route()`.
#[pg_trigger]
fn rules_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    tell_change(trigger, tell);
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

fn tell(client: &mut SpiClient<'_>, relation: pg_sys::Oid, event: Option<RowEvent>) {
    for alert in Alert::on_table(client, relation) {
        match event {
            Some(RowEvent::Insert) => alerts::look_at_changed(client, &alert, "new_rows"),
            Some(RowEvent::Update) => {
                alerts::forget_moved(client, &alert);
                alerts::look_at_changed(client, &alert, "new_rows");
            }
            Some(RowEvent::Delete) => alerts::forget_deleted(client, &alert),
            None => alerts::forget_all(client, &alert),
        }
    }
    let (rows, operation) = match event {
        Some(RowEvent::Insert) => ("new_rows", "insert"),
        Some(RowEvent::Update) => ("new_rows", "update"),
        Some(RowEvent::Delete) => ("old_rows", "delete"),
        None => return,
    };
    let routes = Route::on_table(client, relation);
    for route in routes.iter().filter(|route| route.operations.iter().any(|name| name == operation)) {
        ask(client, &route.question, &Source::relation(rows), Wanted::Met, |client, answer| {
            documents::of_route(
                client,
                route,
                operation,
                Batch { keys: answer.keys, payloads: answer.payloads },
            );
        });
    }
}
