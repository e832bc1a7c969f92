//! Makes enriched rows anew for dirty keys: one statement for all of them.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::collector::{Collecting, Dirty};
use super::keys::Keys;
use super::queue;
use crate::apply::{as_user, raise_again, sqlstate};
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
            let all = rows.into_iter().chain(parts.into_values().flatten());
            let keys = all.flat_map(Keys::into_texts).collect();
            queue::put_keys(client, id, keys, Some("the enriched tables depend on each other in a circle"));
            continue;
        }
        left -= 1;
        let Some(configured) = catalog.enrichment(id) else { continue };
        let rows = rows.map(sorted);
        for (place, keys) in parts {
            let Some(mut keys) = keys.map(sorted) else { continue };
            if let Some(rows) = &rows {
                keys.retain_others(rows);
            }
            refresh_part(client, configured, place, &keys);
        }
        if let Some(rows) = rows {
            refresh_rows(client, configured, &rows);
        }
    }
}

fn sorted(mut keys: Keys) -> Keys {
    keys.sort();
    keys
}

/// Makes the rows of these keys anew. Keys whose row cannot be made are set aside in the queue with the reason.
pub(super) fn refresh_keys(
    client: &mut SpiClient<'_>,
    catalog: &Catalog,
    enrichment_id: i32,
    keys: &[String],
) {
    if let Some(configured) = catalog.enrichment(enrichment_id) {
        refresh_rows(client, configured, &Keys::Texts(keys.to_vec()));
    }
}

/// The same of one enriched table.
fn refresh_rows(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment, keys: &Keys) {
    if !keys.is_empty() {
        let statement = configured.enrichment.refresh(keys.form());
        refresh_or_halve(client, configured, &statement, keys);
    }
}

/// Makes the columns of these keys' rows anew that come from one dependency.
fn refresh_part(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment, place: usize, keys: &Keys) {
    if !keys.is_empty() {
        let enrichment = &configured.enrichment;
        let statement = enrichment.refresh_columns(&enrichment.dependencies[place], keys.form());
        refresh_or_halve(client, configured, &statement, keys);
    }
}

fn refresh_or_halve(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    statement: &str,
    keys: &Keys,
) {
    let run = |client: &mut SpiClient<'_>| -> spi::Result<()> {
        let has_several = plan_cache::update(client, statement, &[keys.parameter()])?.one::<bool>()?;
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
        queue::put_keys(client, id, keys.clone().into_texts(), Some(&failure.message));
        return;
    }
    let (left, right) = keys.halves();
    refresh_or_halve(client, configured, statement, &left);
    refresh_or_halve(client, configured, statement, &right);
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
