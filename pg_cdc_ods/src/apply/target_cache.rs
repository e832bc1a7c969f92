//! Keeps the targets from one batch to the next, until their configuration or one of their tables changes.
//!
//! PostgreSQL tells every process which tables have changed; changes of the configuration are told in the same way, by
//! triggers that mark `cdc.attachments` as changed. Only the apply worker keeps targets: it ends with any error, so what
//! it keeps is never ahead of what is committed.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use pgrx::{PgTrigger, PgTriggerError};

use super::targets::Targets;
use crate::sql_error::spi_failed;

extension_sql_file!(
    "../../sql/configuration.sql",
    name = "configuration",
    requires = ["bootstrap", "enrich", "outbox", configuration_changed]
);

thread_local! {
    static IS_ENABLED: Cell<bool> = const { Cell::new(false) };
    static IS_VALID: Cell<bool> = const { Cell::new(false) };
    static TARGETS: RefCell<Option<Targets>> = const { RefCell::new(None) };
    /// The tables whose changes matter.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
}

/// Lets this process keep targets; called once.
pub(crate) fn enable() {
    // SAFETY: the callback is a function of this library, which is never unloaded; it takes no argument.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::from(0)) };
    IS_ENABLED.set(true);
}

/// The targets as they are now.
pub(super) fn take(client: &mut SpiClient<'_>) -> Targets {
    let kept = TARGETS.take().filter(|_| IS_VALID.get());
    kept.unwrap_or_else(|| load(client))
}

/// Reads the targets, whatever is kept.
pub(super) fn load(client: &mut SpiClient<'_>) -> Targets {
    // Before they are read: a change while they are read makes them invalid again.
    IS_VALID.set(true);
    let targets = Targets::load(client);
    if IS_ENABLED.get() {
        WATCHED.replace(watched_tables(client));
    }
    targets
}

const WATCHED_TABLES: &str = "
    select 'cdc.attachments'::regclass::oid
    union select 'cdc.xml_extractions'::regclass
    union select to_regclass(format('%I.%I', target_schema, target_table)) from cdc.attachments
    union select to_regclass(name) from cdc.xml_extractions, unnest(tables) as name";

fn watched_tables(client: &mut SpiClient<'_>) -> HashSet<pg_sys::Oid> {
    let read = client
        .select(WATCHED_TABLES, None, &[])
        .and_then(|rows| rows.map(|row| row.get::<pg_sys::Oid>(1)).filter_map(Result::transpose).collect());
    read.unwrap_or_else(|error| spi_failed("cannot read the configuration", &error))
}

/// Keeps targets for the next batch. A table that is missing tells nobody when it comes, so then nothing is kept.
pub(super) fn keep(targets: Targets) {
    if IS_ENABLED.get() && targets.are_complete() {
        TARGETS.replace(Some(targets));
    }
}

/// Told of each table that has changed; of all of them by the invalid oid.
#[pg_guard]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let is_watched =
        WATCHED.with(|watched| watched.try_borrow().map_or(true, |watched| watched.contains(&relation)));
    if relation == pg_sys::InvalidOid || is_watched {
        IS_VALID.set(false);
    }
}

/// Trigger of the tables of the configuration: tells all processes, when the transaction commits, that one has changed.
#[pg_trigger]
fn configuration_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, PgTriggerError> {
    let relation = trigger.relation()?.oid();
    // SAFETY: the trigger's own table, which exists, in a transaction.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
    Ok(None::<PgHeapTuple<'_, AllocatedByRust>>)
}
