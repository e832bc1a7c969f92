//! What is dirty and has to wait: keys in `cdc.enrich_queue`, changes that concern very many in `cdc.enrich_backlog`.

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::refresh;
use crate::apply::{as_user, parameter};
use crate::settings;
use crate::sql_error::spi_failed;
use crate::subtransaction;

/// A key that fails again is not kept twice.
const PUT_KEYS: &str = "
    with failed_before as (
        delete from cdc.enrich_queue
         where $3 is not null and enrichment_id = $1 and key = any ($2::text[]) and error is not null
    )
    insert into cdc.enrich_queue (enrichment_id, key, error) select $1, unnest($2::text[]), $3";

/// Puts keys into the queue; with an error they stay there until `cdc.maintain()`.
pub(super) fn put_keys(
    client: &mut SpiClient<'_>,
    enrichment_id: i32,
    keys: Vec<String>,
    error: Option<&str>,
) {
    if keys.is_empty() {
        return;
    }
    let args =
        [enrichment_id.into(), parameter("text", keys.into_iter().map(Some).collect()).datum, error.into()];
    if let Err(error) = client.update(PUT_KEYS, None, &args) {
        spi_failed("cannot write cdc.enrich_queue", &error);
    }
}

const PUT_CHANGE: &str =
    "insert into cdc.enrich_backlog (enrichment_id, dependency, changed) values ($1, $2, $3)";

/// Puts changed rows of a dependency into the backlog, or all rows of the enriched table.
pub(super) fn put_change(client: &mut SpiClient<'_>, enrichment_id: i32, change: Option<(usize, JsonB)>) {
    let (dependency, changed) = match change {
        Some((dependency, changed)) => (i16::try_from(dependency).ok(), Some(changed)),
        None => (None, None),
    };
    if let Err(error) =
        client.update(PUT_CHANGE, None, &[enrichment_id.into(), dependency.into(), changed.into()])
    {
        spi_failed("cannot write cdc.enrich_backlog", &error);
    }
}

/// Whether something waits that can be done; takes no lock.
pub(super) fn has_work() -> bool {
    Spi::get_one::<bool>(
        "select exists (select from cdc.enrich_queue where error is null)
             or exists (select from cdc.enrich_backlog where error is null)",
    )
    .unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_queue", &error))
    .unwrap_or(false)
}

/// Takes what waits for one step, and makes these rows anew. The caller holds the progress lock.
pub(super) fn work_off(client: &mut SpiClient<'_>, catalog: &Catalog) {
    let queued = take_keys(client);
    if queued.is_empty() {
        step_through_backlog(client, catalog);
    }
    for (id, keys) in queued {
        refresh::refresh_keys(client, catalog, id, &keys);
    }
}

const TAKE_KEYS: &str = "
    with taken as (
        delete from cdc.enrich_queue
         where id = any (array(select id from cdc.enrich_queue where error is null order by id limit $1))
        returning enrichment_id, key
    )
    select enrichment_id, array_agg(distinct key) from taken group by enrichment_id order by enrichment_id";

fn take_keys(client: &mut SpiClient<'_>) -> Vec<(i32, Vec<String>)> {
    let mut take = || -> spi::Result<_> {
        let mut taken = Vec::new();
        for row in client.update(TAKE_KEYS, None, &[settings::ENRICH_STEP.get().into()])? {
            taken.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
        }
        Ok(taken)
    };
    take().unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_queue", &error))
}

/// A change that makes many keys dirty.
struct Change {
    id: i64,
    enrichment_id: i32,
    dependency: Option<i16>,
    changed: Option<JsonB>,
    last_key: Option<String>,
}

const FIRST_CHANGE: &str = "
    select id, enrichment_id, dependency, changed, last_key
      from cdc.enrich_backlog where error is null order by id limit 1";

fn first_change(client: &mut SpiClient<'_>) -> Option<Change> {
    let mut read = || -> spi::Result<_> {
        let rows = client.update(FIRST_CHANGE, Some(1), &[])?;
        let row = rows.first();
        if row.is_empty() {
            return Ok(None);
        }
        Ok(Some(Change {
            id: row.get(1)?.unwrap_or_default(),
            enrichment_id: row.get(2)?.unwrap_or_default(),
            dependency: row.get(3)?,
            changed: row.get(4)?,
            last_key: row.get(5)?,
        }))
    };
    read().unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_backlog", &error))
}

/// Steps whose keys are read at once: to find the keys of a change may mean to look at all that it concerns.
const STEPS_READ_AT_ONCE: i32 = 10;

/// Does the next step of the first change in the backlog, and puts the keys of some more steps into the queue.
fn step_through_backlog(client: &mut SpiClient<'_>, catalog: &Catalog) {
    let Some(change) = first_change(client) else { return };
    let Some(configured) = catalog.enrichment(change.enrichment_id) else { return };
    let step = settings::ENRICH_STEP.get();
    let limit = step.saturating_mul(STEPS_READ_AT_ONCE);
    let attempt = std::panic::AssertUnwindSafe(|| {
        as_user(configured.owner(), || next_keys(client, configured, &change, limit))
    });
    let mut keys = match subtransaction::run(move || { attempt }()) {
        Ok(Ok(keys)) => keys,
        Ok(Err(error)) => spi_failed("cannot read what a change makes dirty", &error),
        Err(failure) => {
            refresh::ensure_fault_of_configuration(&failure);
            update(
                client,
                "update cdc.enrich_backlog set error = $2 where id = $1",
                change.id,
                &failure.message,
            );
            return;
        }
    };
    match keys.last().filter(|_| keys.len() >= usize::try_from(limit).unwrap_or_default()) {
        Some(last) => {
            update(client, "update cdc.enrich_backlog set last_key = $2 where id = $1", change.id, last);
        }
        None => update(
            client,
            "delete from cdc.enrich_backlog where id = $1 and $2::text is not null",
            change.id,
            "",
        ),
    }
    let later = keys.split_off(keys.len().min(usize::try_from(step).unwrap_or_default()));
    put_keys(client, change.enrichment_id, later, None);
    refresh::refresh_keys(client, catalog, change.enrichment_id, &keys);
}

/// The next keys that a change makes dirty, in their order.
fn next_keys(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    change: &Change,
    limit: i32,
) -> spi::Result<Vec<String>> {
    let enrichment = &configured.enrichment;
    let last_key = change.last_key.as_deref();
    let place = change.dependency.and_then(|place| usize::try_from(place).ok());
    let rows = match place.and_then(|place| enrichment.dependencies.get(place)) {
        Some(dependency) => {
            let changed = change.changed.as_ref().map(|json| JsonB(json.0.clone()));
            let args = [changed.into(), last_key.into(), limit.into()];
            client.update(&enrichment.next_keys(dependency), Some(1), &args)
        }
        None => client.update(&enrichment.next_of_all_keys(), Some(1), &[last_key.into(), limit.into()]),
    };
    let keys = rows?.first().get_one::<Vec<String>>()?;
    Ok(keys.unwrap_or_default())
}

fn update(client: &mut SpiClient<'_>, sql: &str, id: i64, text: &str) {
    if let Err(error) = client.update(sql, None, &[id.into(), text.into()]) {
        spi_failed("cannot write cdc.enrich_backlog", &error);
    }
}

/// Lets what failed be tried again; returns whether anything had.
pub(crate) fn retry_failed(client: &mut SpiClient<'_>) -> bool {
    let mut retried = 0;
    for table in ["cdc.enrich_queue", "cdc.enrich_backlog"] {
        match client.update(&format!("update {table} set error = null where error is not null"), None, &[]) {
            Ok(rows) => retried += rows.len(),
            Err(error) => spi_failed("cannot retry what failed", &error),
        }
    }
    retried > 0
}
