//! Enriched tables: a query's result, kept equal to it by running it again for the keys that a change makes dirty.
//!
//! ```text
//! change of a table ──trigger──► dirty keys ──┬─ of the batch: in memory ──────► refreshed at its end
//!                                             ├─ of other sessions: enrich_queue ┐
//!                                             └─ very many: enrich_backlog ──────┴► in steps, between batches
//! ```

mod backlog;
mod catalog;
mod changes;
mod collector;
mod configure;
mod index_check;
mod keys;
mod pending;
mod queue;
mod refresh;
mod verify;

use std::time::Duration;

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::inbox;
use crate::resolve::SearchPath;
use crate::sql_error::{raise, spi_failed};
use crate::workers;
pub(crate) use catalog::{Catalog, ConfiguredAggregate, newest_event};
pub(crate) use collector::Collecting;
use configure::{Declaration, TRIGGERS};
use queue::StepEnd;
pub(crate) use queue::retry_failed;
pub(crate) use refresh::refresh_dirty;

const HAS_DEPENDENCY: &str = "
    select exists (select from cdc.enrichments e, jsonb_array_elements(e.dependencies) as d
                    where d->>'schema' = $1 and d->>'table' = $2)";

#[pg_extern]
fn enrich(
    name: &str,
    target: &str,
    key: &str,
    query: &str,
    dependencies: JsonB,
    search_path: default!(&str, "current_setting('search_path')"),
) -> i32 {
    Spi::connect_mut(|client| {
        let before = dependencies_of(client, name);
        let path = SearchPath(search_path);
        let id = Declaration { name, target, key, query, dependencies, path }.configure(client);
        TRIGGERS.drop_needless(client, &before, HAS_DEPENDENCY);
        if let Err(error) = client.update("select cdc.refresh($1)", None, &[name.into()]) {
            spi_failed("cannot have the enriched table filled", &error);
        }
        id
    })
}

#[pg_extern]
fn drop_enrichment(name: &str) {
    Spi::connect_mut(|client| {
        let before = dependencies_of(client, name);
        let deleted = client.update("delete from cdc.enrichments where name = $1", None, &[name.into()]);
        match deleted.map(|rows| rows.len()) {
            Ok(0) => unknown(name),
            Ok(_) => TRIGGERS.drop_needless(client, &before, HAS_DEPENDENCY),
            Err(error) => spi_failed("cannot write cdc.enrichments", &error),
        }
    });
}

/// Has all rows of an enriched table made anew, in steps.
#[pg_extern]
fn refresh(name: &str) {
    Spi::connect_mut(|client| {
        let id = client
            .update("select enrichment_id from cdc.enrichments where name = $1", Some(1), &[name.into()])
            .and_then(|row| if row.is_empty() { Ok(None) } else { row.first().get_one::<i32>() });
        match id {
            Ok(Some(id)) => queue::put_change(client, id, None),
            Ok(None) => unknown(name),
            Err(error) => spi_failed("cannot read cdc.enrichments", &error),
        }
    });
    workers::wake_at_commit();
}

fn unknown(name: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("there is no enriched table or aggregate of the name \"{name}\""),
        "See cdc.enrichments and cdc.aggregates for what there is.",
    )
}

/// Schemas and names of the tables that an enriched table reads; none if it does not exist.
fn dependencies_of(client: &mut SpiClient<'_>, name: &str) -> Vec<(String, String)> {
    let sql =
        "select d->>'schema', d->>'table' from cdc.enrichments e, jsonb_array_elements(e.dependencies) as d
                where e.name = $1";
    let mut read = || -> spi::Result<_> {
        let mut tables = Vec::new();
        for row in client.update(sql, None, &[name.into()])? {
            tables.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
        }
        Ok(tables)
    };
    read().unwrap_or_else(|error| spi_failed("cannot read cdc.enrichments", &error))
}

/// Does one bounded step of what waits in queue and backlog, in the current transaction. Returns whether there may be
/// more.
pub(crate) fn work_off_step() -> bool {
    step(StepEnd::WithItsKeys)
}

/// The same between two transactions that apply: while events wait, it takes half as long as the one before, or one pass.
pub(crate) fn work_off_between_transactions(time: Duration) -> bool {
    step(StepEnd::WhenEventsWait { after: time / 2 })
}

fn step(end: StepEnd) -> bool {
    queue::has_work()
        && Spi::connect_mut(|client| inbox::lock_progress(client) && work_off_until(client, end))
}

/// Does a whole step for a caller that holds the progress lock. Returns whether there was anything to do.
pub(crate) fn work_off(client: &mut SpiClient<'_>) -> bool {
    queue::has_work() && work_off_until(client, StepEnd::WithItsKeys)
}

fn work_off_until(client: &mut SpiClient<'_>, end: StepEnd) -> bool {
    let collecting = Collecting::begin(client);
    queue::work_off(client, &collecting.catalog, end);
    refresh_dirty(client, &collecting);
    true
}
