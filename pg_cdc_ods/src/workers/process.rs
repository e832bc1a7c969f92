//! What all workers of a database do in the same way: begin, do steps in transactions of their own, end.

use std::ffi::{CStr, c_int};
use std::panic::{RefUnwindSafe, UnwindSafe};

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::EXTENSION;
use super::launcher::attach_signal_handlers;
use super::shared::{self, Kind, WorkerId};

/// Registers a worker; the postmaster starts it. False when `max_worker_processes` are in use.
pub(super) fn start(worker: WorkerId) -> bool {
    let function = match worker.kind {
        Kind::Apply => "pg_cdc_ods_apply_worker_main",
        Kind::Push => "pg_cdc_ods_push_worker_main",
    };
    BackgroundWorkerBuilder::new(&format!("pg_cdc_ods {}", worker.kind.name()))
        .set_library(EXTENSION)
        .set_function(function)
        .enable_spi_access()
        .set_argument(worker.database.into_datum())
        .load_dynamic()
        .is_ok()
}

/// Begins the process of a worker, whose argument is the oid of its database: it takes its slot and connects. `None` if
/// it is not wanted any more.
pub(super) fn begin(kind: Kind, argument: pg_sys::Datum, application_name: &CStr) -> Option<WorkerId> {
    attach_signal_handlers();
    // SAFETY: the launcher passes an oid, by value.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }?;
    let worker = WorkerId { kind, database };
    if !shared::claim(worker) {
        return None;
    }
    let on_exit = match kind {
        Kind::Apply => release_apply_worker,
        Kind::Push => release_push_worker,
    };
    // SAFETY: the callback is a function of this library, which is never unloaded; the argument is a value.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), argument) };
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    pin(c"search_path", c"pg_catalog, pg_temp");
    pin(c"application_name", application_name);
    // Statements here are short and come in many shapes: compiling them costs more time and memory than it saves.
    pin(c"jit", c"off");
    Some(worker)
}

/// Does a step in a transaction of its own; `None` if the extension is gone. An error is put into the slot and raised
/// again, which ends the process.
pub(super) fn recording_errors<R>(
    worker: WorkerId,
    activity: &'static CStr,
    step: impl FnOnce() -> R + UnwindSafe + RefUnwindSafe,
) -> Option<R> {
    PgTryBuilder::new(move || {
        BackgroundWorker::transaction(move || {
            // Asked in the same transaction: after DROP EXTENSION the worker ends instead of failing.
            extension_exists().then(|| {
                report_activity(pg_sys::BackendState::STATE_RUNNING, Some(activity));
                step()
            })
        })
    })
    .catch_others(move |error| {
        match &error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => {
                shared::record_error(worker, report.message());
            }
        }
        error.rethrow()
    })
    .execute()
}

/// Whether the database has the extension; it then has it until the end of the transaction.
///
/// DROP EXTENSION locks the extension first and its tables after that. Taken first here, too, this lock makes one wait
/// for the other; without it the two would meet at the tables in different orders, and one would fail by deadlock.
fn extension_exists() -> bool {
    // SAFETY: inside a transaction; the name is a constant string, and the lock goes with the transaction.
    unsafe {
        let found = pg_sys::get_extension_oid(c"pg_cdc_ods".as_ptr(), true);
        if found == pg_sys::InvalidOid {
            return false;
        }
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        pg_sys::LockDatabaseObject(pg_sys::ExtensionRelationId, found, 0, lock);
        // It may have gone while the lock was waited for.
        pg_sys::get_extension_oid(c"pg_cdc_ods".as_ptr(), true) == found
    }
}

/// Sets a setting of this process so that neither role nor database can change it.
pub(super) fn pin(name: &CStr, value: &CStr) {
    // SAFETY: both are constant strings, and the settings exist in every server.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Shows in `pg_stat_activity` that the worker has nothing to do.
pub(super) fn report_idle() {
    report_activity(pg_sys::BackendState::STATE_IDLE, None);
}

fn report_activity(state: pg_sys::BackendState::Type, what: Option<&CStr>) {
    // SAFETY: the text is a constant or null, as the function allows.
    unsafe { pg_sys::pgstat_report_activity(state, what.map_or(std::ptr::null(), CStr::as_ptr)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn release_apply_worker(_code: c_int, argument: pg_sys::Datum) {
    release(Kind::Apply, argument);
}

#[pg_guard]
unsafe extern "C-unwind" fn release_push_worker(_code: c_int, argument: pg_sys::Datum) {
    release(Kind::Push, argument);
}

fn release(kind: Kind, argument: pg_sys::Datum) {
    // SAFETY: the oid that was registered together with the callback.
    if let Some(database) = unsafe { pg_sys::Oid::from_datum(argument, false) } {
        shared::release(WorkerId { kind, database });
    }
}
