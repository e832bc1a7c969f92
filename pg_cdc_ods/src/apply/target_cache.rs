//! Keeps the targets from one batch to the next, until their configuration or one of their tables changes.
//!
//! PostgreSQL tells every process which tables have changed; changes of the configuration are told in the same way, by
//! triggers that mark `cdc.attachments` as changed. The apply worker keeps targets for as long as it lives, since it ends
//! with any error; a session keeps them for a transaction's batches. So what is kept is never ahead of what is committed.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use pgrx::{PgTrigger, PgTriggerError};

use super::target_plans::TargetPlans;
use super::targets::Targets;
use crate::sql_error::spi_failed;

extension_sql_file!(
    "../../sql/configuration.sql",
    name = "configuration",
    requires = ["bootstrap", "enrich", "outbox", configuration_changed]
);

thread_local! {
    static KEEPS: Cell<Keeps> = const { Cell::new(Keeps::Nothing) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
    static IS_VALID: Cell<bool> = const { Cell::new(false) };
    static TARGETS: RefCell<Option<Targets>> = const { RefCell::new(None) };
    /// The tables whose changes matter.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
}

/// How long this process keeps targets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// While a [`KeepsTargets`] exists.
    ForBatches,
    ForEver,
}

/// Lets this process keep targets from now on.
pub(crate) fn enable() {
    watch();
    KEEPS.set(Keeps::ForEver);
}

/// While this exists, targets are kept. It ends with its scope, also when an ERROR unwinds it.
pub(super) struct KeepsTargets {
    before: Keeps,
}

impl KeepsTargets {
    pub(super) fn begin() -> Self {
        watch();
        let before = KEEPS.get();
        if before == Keeps::Nothing {
            KEEPS.set(Keeps::ForBatches);
        }
        Self { before }
    }
}

impl Drop for KeepsTargets {
    fn drop(&mut self) {
        KEEPS.set(self.before);
        if self.before == Keeps::Nothing {
            TARGETS.take();
        }
    }
}

/// Has PostgreSQL tell of changed tables.
fn watch() {
    if !IS_WATCHING.replace(true) {
        // SAFETY: the callback is a function of this library, which is never unloaded; it takes no argument.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::from(0)) };
    }
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
    if KEEPS.get() != Keeps::Nothing {
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
    if KEEPS.get() != Keeps::Nothing && targets.are_complete() {
        TARGETS.replace(Some(targets));
    }
}

/// The plans of the targets that are kept, if they are still valid.
pub(super) fn plans() -> Option<Arc<TargetPlans>> {
    let plans = || TARGETS.with_borrow(|targets| Some(Arc::clone(targets.as_ref()?.plans())));
    IS_VALID.get().then(plans).flatten()
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
