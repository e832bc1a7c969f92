//! Makes enriched rows anew for dirty keys: one statement for all of them.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::collector::{Collecting, Dirty};
use super::queue;
use crate::apply::{as_user, parameter, raise_again, sqlstate};
use crate::plan_cache;
use crate::sql_error::{raise, spi_failed};
use crate::subtransaction::{self, Failure};

/// Makes anew what has become dirty while collecting, also by what is written here; each table at most this often, so
/// that tables that depend on each other in a circle come to an end. What is left then waits in the queue.
const PASSES: usize = 8;

/// Brings all enriched tables up to date with what was changed while collecting.
pub(crate) fn refresh_dirty(client: &mut SpiClient<'_>, collecting: &Collecting) {
    let catalog = &collecting.catalog;
    let mut left = PASSES * catalog.enrichments.len();
    while let Some((id, Dirty { rows, parts })) = collecting.next_dirty() {
        if left == 0 {
            let keys = rows.into_iter().chain(parts.into_values().flatten()).collect();
            queue::put_keys(client, id, keys, Some("the enriched tables depend on each other in a circle"));
            continue;
        }
        left -= 1;
        for (place, mut keys) in parts {
            keys.retain(|key| !rows.contains(key));
            refresh_part(client, catalog, id, place, &keys.into_iter().collect::<Vec<_>>());
        }
        refresh_keys(client, catalog, id, &rows.into_iter().collect::<Vec<_>>());
    }
}

/// Makes the rows of these keys anew. Keys whose row cannot be made are set aside in the queue with the reason.
pub(super) fn refresh_keys(
    client: &mut SpiClient<'_>,
    catalog: &Catalog,
    enrichment_id: i32,
    keys: &[String],
) {
    if keys.is_empty() {
        return;
    }
    if let Some(configured) = catalog.enrichment(enrichment_id) {
        let statement = configured.enrichment.refresh();
        refresh_or_halve(client, configured, &statement, keys);
    }
}

/// Makes the columns of these keys' rows anew that come from one dependency.
fn refresh_part(
    client: &mut SpiClient<'_>,
    catalog: &Catalog,
    enrichment_id: i32,
    place: usize,
    keys: &[String],
) {
    if let Some(configured) = catalog.enrichment(enrichment_id).filter(|_| !keys.is_empty()) {
        let enrichment = &configured.enrichment;
        let statement = enrichment.refresh_columns(&enrichment.dependencies[place]);
        refresh_or_halve(client, configured, &statement, keys);
    }
}

fn refresh_or_halve(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    statement: &str,
    keys: &[String],
) {
    let run = |client: &mut SpiClient<'_>| -> spi::Result<()> {
        let keys = parameter("text", keys.iter().map(|key| Some(key.as_str())).collect());
        let has_several = plan_cache::update(client, statement, &[keys.datum])?.one::<bool>()?;
        if has_several == Some(true) {
            raise(
                PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
                "the query gives more than one row for a key",
                "Group or filter in the query, so that each key has one row.",
            );
        }
        Ok(())
    };
    let attempt = std::panic::AssertUnwindSafe(|| as_user(configured.owner(), || run(client)));
    let failure = match subtransaction::run(move || { attempt }()) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => spi_failed("cannot refresh an enriched table", &error),
        Err(failure) => failure,
    };
    ensure_fault_of_configuration(&failure);
    if keys.len() == 1 || !is_fault_of_a_row(&failure) {
        let id = configured.enrichment.enrichment_id;
        warning!("cannot refresh {} keys of {}: {}", keys.len(), configured.enrichment.name, failure.message);
        queue::put_keys(client, id, keys.to_vec(), Some(&failure.message));
        return;
    }
    let (left, right) = keys.split_at(keys.len() / 2);
    refresh_or_halve(client, configured, statement, left);
    refresh_or_halve(client, configured, statement, right);
}

/// Raises an error again that waiting heals and no row or configuration has caused: the batch is tried again later.
pub(super) fn ensure_fault_of_configuration(failure: &Failure) {
    if !matches!(&sqlstate(failure.code)[..2], "0A" | "21" | "22" | "23" | "42" | "44" | "54" | "P0" | "3F") {
        raise_again(failure);
    }
}

fn is_fault_of_a_row(failure: &Failure) -> bool {
    matches!(&sqlstate(failure.code)[..2], "21" | "22" | "23" | "44" | "54" | "P0")
}
