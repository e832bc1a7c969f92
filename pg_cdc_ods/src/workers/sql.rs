//! The workers as SQL sees them: waking, starting, and `cdc.stat_workers`.

use std::convert::Infallible;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::prelude::*;
use pgrx::{PgXactCallbackEvent, register_xact_callback};

use super::shared::{self, WorkerId};

extension_sql_file!(
    "../../sql/workers.sql",
    name = "workers",
    requires = [wake_apply_worker, start_apply_worker, stat_workers, apply_latency]
);

/// Whether this transaction will wake the apply worker when it commits.
static APPLY_WAKE: AtomicBool = AtomicBool::new(false);
/// The same for the push worker.
static PUSH_WAKE: AtomicBool = AtomicBool::new(false);
/// Whether it will tell the push worker that the endpoints have changed.
static PUSH_CONFIGURATION: AtomicBool = AtomicBool::new(false);

fn my_database() -> pg_sys::Oid {
    // SAFETY: set once when the session starts.
    unsafe { pg_sys::MyDatabaseId }
}

/// Statement-level trigger of `cdc.inbox`: wakes the apply worker when the transaction commits.
#[pg_trigger]
fn wake_apply_worker<'a>(
    _trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    wake_at_commit();
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

/// Wakes the apply worker of this database when the transaction commits.
pub(crate) fn wake_at_commit() {
    once_at_commit(&APPLY_WAKE, || shared::wake(WorkerId::apply(my_database())));
}

/// Wakes the push worker of this database when the transaction commits.
pub(crate) fn wake_push_worker_at_commit() {
    once_at_commit(&PUSH_WAKE, || shared::wake(WorkerId::push(my_database())));
}

/// Has the push worker of this database read its endpoints when the transaction commits, or be started.
pub(crate) fn push_configuration_changed_at_commit() {
    once_at_commit(&PUSH_CONFIGURATION, || {
        let worker = WorkerId::push(my_database());
        warn_unless_granted(worker, shared::configuration_changed(worker));
    });
}

/// Does something when the transaction commits, once however often this is called in it.
fn once_at_commit(registered: &'static AtomicBool, action: fn()) {
    if !shared::is_available() || registered.swap(true, Ordering::Relaxed) {
        return;
    }
    register_xact_callback(PgXactCallbackEvent::Commit, move || {
        registered.store(false, Ordering::Relaxed);
        action();
    });
    register_xact_callback(PgXactCallbackEvent::Abort, move || registered.store(false, Ordering::Relaxed));
}

fn warn_unless_granted(worker: WorkerId, granted: bool) {
    if !granted {
        let (kind, most) = (worker.kind.name(), shared::MAX_DATABASES);
        warning!("no {kind} for this database: {most} databases have one already");
    }
}

/// Asks the launcher, when the transaction commits, to start an apply worker in this database.
#[pg_extern]
fn start_apply_worker() {
    if !shared::is_available() {
        return;
    }
    register_xact_callback(PgXactCallbackEvent::Commit, || {
        let worker = WorkerId::apply(my_database());
        warn_unless_granted(worker, shared::request(worker));
    });
}

/// The launcher and the workers, one row each.
#[pg_extern]
#[expect(clippy::type_complexity, reason = "the columns of a row are a tuple")]
fn stat_workers() -> TableIterator<
    'static,
    (
        name!(pid, Option<i32>),
        name!(kind, &'static str),
        name!(database, Option<String>),
        name!(state, &'static str),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(last_batch_at, Option<TimestampWithTimeZone>),
        name!(batches, i64),
        name!(events, i64),
        name!(restarts, i64),
        name!(last_error, Option<String>),
    ),
> {
    if !shared::is_available() {
        return TableIterator::new(Vec::new());
    }
    let launcher = Some(shared::launcher_pid())
        .filter(|pid| *pid != 0)
        .map(|pid| (Some(pid), "launcher", None, "idle", None, None, 0, 0, 0, None));
    let workers = shared::slots().into_iter().filter_map(|slot| {
        // A database that was just dropped keeps its slot until the launcher looks again.
        let database = database_name(slot.worker.database)?;
        Some((
            Some(slot.pid).filter(|pid| *pid != 0),
            slot.worker.kind.name(),
            Some(database),
            slot.state.name(),
            timestamp(slot.started_at),
            timestamp(slot.last_batch_at),
            slot.batches,
            slot.events,
            slot.restarts,
            slot.last_error().map(str::to_owned),
        ))
    });
    TableIterator::new(launcher.into_iter().chain(workers).collect::<Vec<_>>())
}

/// How long messages of this database took from their sending to the commit of their effects: a bucket a row.
#[pg_extern]
fn apply_latency() -> TableIterator<'static, (name!(le_ms, f64), name!(events, i64))> {
    if !shared::is_available() {
        return TableIterator::new(Vec::new());
    }
    let slot = shared::slots().into_iter().find(|slot| slot.worker == WorkerId::apply(my_database()));
    let buckets = slot.map(|slot| slot.latency.buckets().collect::<Vec<_>>());
    TableIterator::new(buckets.unwrap_or_default())
}

fn timestamp(micros: pg_sys::TimestampTz) -> Option<TimestampWithTimeZone> {
    if micros == 0 {
        return None;
    }
    // SAFETY: the time of a slot comes from the server's clock; the type is passed by value.
    unsafe { TimestampWithTimeZone::from_datum(pg_sys::Datum::from(micros), false) }
}

fn database_name(database: pg_sys::Oid) -> Option<String> {
    // SAFETY: inside a transaction; the name is a string in this memory context, or null for a database that is gone.
    unsafe {
        let name = pg_sys::get_database_name(database);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}
