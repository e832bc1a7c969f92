//! The trigger of the tables that enriched tables read: which keys does a change make dirty?

use std::convert::Infallible;

use cdc_core::{Dependency, Enrichment, RowEvent};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use pgrx::trigger_support::PgTriggerOperation;
use pgrx::{JsonB, pg_sys};

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::{collector, queue, refresh};
use crate::apply::as_user;
use crate::plan_cache;
use crate::settings;
use crate::sql_error::spi_failed;
use crate::subtransaction;
use crate::workers;

/// Statement trigger with transition tables `old_rows` and `new_rows`, made by `cdc.enrich()`.
#[pg_trigger]
fn enrich_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    let rows = changed_rows_of(trigger);
    tell_change(trigger, |client, table, event| mark_dirty(client, table, event, rows));
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

/// Tells `work` which table has changed and how, `None` being TRUNCATE; it can query `old_rows` and `new_rows`.
fn tell_change(
    trigger: &PgTrigger<'_>,
    work: impl FnOnce(&mut SpiClient<'_>, pg_sys::Oid, Option<RowEvent>),
) {
    let event = row_event(trigger);
    if event.is_some() && changed_rows_of(trigger) == 0 {
        return;
    }
    if let Ok(relation) = trigger.relid() {
        Spi::connect_mut(|client| {
            register_transition_tables(trigger);
            work(client, relation, event);
        });
    }
}

/// How many rows a statement has changed, those before and those after it counted. It is told even if there are none, and
/// an INSERT with ON CONFLICT as an UPDATE, too.
fn changed_rows_of(trigger: &PgTrigger<'_>) -> i64 {
    let data = trigger.trigger_data();
    let count = |rows: *mut pg_sys::Tuplestorestate| {
        // SAFETY: a transition table that PostgreSQL passed to the trigger function lives as long as this call of it.
        if rows.is_null() { 0 } else { unsafe { pg_sys::tuplestore_tuple_count(rows) } }
    };
    count(data.tg_oldtable) + count(data.tg_newtable)
}

/// Lets queries of the current SPI connection read the transition tables of a trigger.
fn register_transition_tables(trigger: &PgTrigger<'_>) {
    let data = std::ptr::from_ref(trigger.trigger_data()).cast_mut();
    // SAFETY: called inside an SPI connection with the data that PostgreSQL passed to the trigger function, which
    // lives as long as this call of it; it is only read.
    unsafe { pg_sys::SPI_register_trigger_data(data) };
}

/// What happened to the rows; `None` for TRUNCATE.
fn row_event(trigger: &PgTrigger<'_>) -> Option<RowEvent> {
    match trigger.op() {
        Ok(PgTriggerOperation::Insert) => Some(RowEvent::Insert),
        Ok(PgTriggerOperation::Update) => Some(RowEvent::Update),
        Ok(PgTriggerOperation::Delete) => Some(RowEvent::Delete),
        Ok(PgTriggerOperation::Truncate) | Err(_) => None,
    }
}

/// A change of rows of a table by one statement.
struct TableChange {
    table: pg_sys::Oid,
    event: RowEvent,
    /// How many rows, those before and those after it counted.
    rows: i64,
}

fn mark_dirty(client: &mut SpiClient<'_>, table: pg_sys::Oid, event: Option<RowEvent>, rows: i64) {
    let catalog = collector::catalog().unwrap_or_else(|| Catalog::current(client));
    for configured in &catalog.enrichments {
        let Some(place) = configured.dependency_on(table) else { continue };
        match event {
            Some(event) => mark_changed(client, configured, place, &TableChange { table, event, rows }),
            None => put_off(client, configured, None),
        }
    }
}

fn mark_changed(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    place: usize,
    change: &TableChange,
) {
    let enrichment = &configured.enrichment;
    let dependency = &enrichment.dependencies[place];
    match dirty_keys(client, configured, dependency, change) {
        DirtyKeys::Few { keys, .. } if keys.is_empty() => (),
        DirtyKeys::Few { keys, has_moved } => {
            let is_partial = change.event == RowEvent::Update && !has_moved;
            let part = Some(place).filter(|_| is_partial && dependency.alters_columns());
            if let Err(keys) = collector::collect(enrichment.enrichment_id, part, keys) {
                queue::put_keys(client, enrichment.enrichment_id, keys, None);
                workers::wake_at_commit();
            }
        }
        DirtyKeys::Many => {
            let rows = changed_rows(client, enrichment, dependency, change.event);
            put_off(client, configured, rows.map(|rows| (place, rows)));
        }
    }
}

fn put_off(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment, change: Option<(usize, JsonB)>) {
    queue::put_change(client, configured.enrichment.enrichment_id, change);
    workers::wake_at_commit();
}

enum DirtyKeys {
    /// So few that they can be made anew with the batch; and whether the change gave a row another key.
    Few { keys: Vec<String>, has_moved: bool },
    /// Too many, or not known because the query failed: to be worked off in steps.
    Many,
}

/// The keys that a change makes dirty, by a query that runs with the rights of the enriched table's owner.
///
/// It must not fail the rows that have changed: when it fails, the change waits in the backlog for its repair.
fn dirty_keys(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    dependency: &Dependency,
    change: &TableChange,
) -> DirtyKeys {
    let limit = change.rows + i64::from(settings::ENRICH_STEP.get());
    let statement = configured.enrichment.dirty_keys(dependency, change.event);
    let read = |client: &mut SpiClient<'_>| -> spi::Result<_> {
        let limit = [(limit + 1).into()];
        let (keys, has_moved) = if change.rows <= plan_cache::FEW_ROWS {
            plan_cache::update_over_few(client, change.table, &statement, &limit)?.two()?
        } else {
            client.update(&statement, Some(1), &limit)?.first().get_two()?
        };
        Ok((keys.unwrap_or_default(), has_moved.unwrap_or_default()))
    };
    let attempt = std::panic::AssertUnwindSafe(|| as_user(configured.owner(), || read(client)));
    match subtransaction::run(move || { attempt }()) {
        Ok(Ok((keys, has_moved))) if Vec::<String>::len(&keys) as i64 <= limit => {
            DirtyKeys::Few { keys, has_moved }
        }
        Ok(Ok(_)) => DirtyKeys::Many,
        Ok(Err(error)) => spi_failed("cannot read what a change makes dirty", &error),
        Err(failure) => {
            refresh::ensure_fault_of_configuration(&failure);
            DirtyKeys::Many
        }
    }
}

fn changed_rows(
    client: &mut SpiClient<'_>,
    enrichment: &Enrichment,
    dependency: &Dependency,
    event: RowEvent,
) -> Option<JsonB> {
    let rows = client.update(&enrichment.changed_rows(dependency, event), Some(1), &[]);
    let json = rows.and_then(|row| row.first().get_one::<JsonB>());
    json.unwrap_or_else(|error| spi_failed("cannot read the changed rows", &error))
}
