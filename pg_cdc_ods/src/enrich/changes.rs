//! The trigger of the tables that enriched tables read: which keys does a change make dirty?

use std::convert::Infallible;

use cdc_core::{Dependency, Enrichment, RowEvent};
use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::keys::Keys;
use super::{collector, queue, refresh};
use crate::apply::as_user;
use crate::changed_rows::{self, Change, ChangedRows};
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
    changed_rows::tell(trigger, |client, relation, change| {
        let catalog = collector::catalog().unwrap_or_else(|| Catalog::current(client));
        for configured in &catalog.enrichments {
            let Some(place) = configured.dependency_on(relation) else { continue };
            match &change {
                Change::Rows(rows) => mark_changed(client, configured, place, rows),
                Change::Truncate => put_off(client, configured, None),
            }
        }
    });
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

fn mark_changed(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    place: usize,
    rows: &ChangedRows<'_>,
) {
    let dependency = &configured.enrichment.dependencies[place];
    let used = rows.numbers(&dependency.uses);
    rows.with_different(used.as_deref(), |rows| {
        if rows.len() > 0 {
            rows.with_names(|| mark_different(client, configured, place, &rows));
        }
    });
}

fn mark_different(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    place: usize,
    rows: &ChangedRows<'_>,
) {
    let enrichment = &configured.enrichment;
    let dependency = &enrichment.dependencies[place];
    match dirty_keys(client, configured, dependency, rows) {
        DirtyKeys::Few(keys) if keys.is_empty() => (),
        DirtyKeys::Few(keys) => {
            let part = Some(place).filter(|_| alters_columns_only(dependency, rows));
            if let Err(keys) = collector::collect(enrichment.enrichment_id, part, keys) {
                queue::put_keys(client, enrichment.enrichment_id, keys.into_texts(), None);
                workers::wake_at_commit();
            }
        }
        DirtyKeys::Many => {
            let changed = changed_rows(client, rows.event);
            put_off(client, configured, changed.map(|changed| (place, changed)));
        }
    }
}

/// Whether the change is an update of rows, none of which got another key, that alters no more than the columns that the
/// declaration names.
fn alters_columns_only(dependency: &Dependency, rows: &ChangedRows<'_>) -> bool {
    let keeps_keys =
        || rows.numbers(&dependency.row_key).is_some_and(|key| !key.is_empty() && !rows.differ_in(&key));
    rows.event == RowEvent::Update && dependency.alters_columns() && keeps_keys()
}

fn put_off(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment, change: Option<(usize, JsonB)>) {
    queue::put_change(client, configured.enrichment.enrichment_id, change);
    workers::wake_at_commit();
}

enum DirtyKeys {
    /// So few that they can be made anew with the batch.
    Few(Keys),
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
    rows: &ChangedRows<'_>,
) -> DirtyKeys {
    let changed = rows.old_len() + rows.new_len();
    let limit = changed + i64::from(settings::ENRICH_STEP.get());
    let enrichment = &configured.enrichment;
    let statement = enrichment.dirty_keys(dependency, rows.event);
    let read = |client: &mut SpiClient<'_>| -> spi::Result<_> {
        let keys = plan_cache::look_up_changed(client, rows, &statement, &[(limit + 1).into()])?;
        Keys::read(&keys, enrichment.key_form())
    };
    let attempt = std::panic::AssertUnwindSafe(|| as_user(configured.owner(), || read(client)));
    match subtransaction::run(move || { attempt }()) {
        Ok(Ok(keys)) if keys.len() as i64 <= limit => DirtyKeys::Few(keys),
        Ok(Ok(_)) => DirtyKeys::Many,
        Ok(Err(error)) => spi_failed("cannot read what a change makes dirty", &error),
        Err(failure) => {
            refresh::ensure_fault_of_configuration(&failure);
            DirtyKeys::Many
        }
    }
}

fn changed_rows(client: &mut SpiClient<'_>, event: RowEvent) -> Option<JsonB> {
    let rows = client.update(&Enrichment::changed_rows(event), Some(1), &[]);
    let json = rows.and_then(|row| row.first().get_one::<JsonB>());
    json.unwrap_or_else(|error| spi_failed("cannot read the changed rows", &error))
}
