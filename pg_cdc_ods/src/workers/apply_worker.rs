//! The apply worker of one database: applies what waits in the inbox, then sleeps until it is woken.

use std::ffi::{CStr, c_int};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::EXTENSION;
use super::launcher::{attach_signal_handlers, reload_settings};
use super::shared::{self, State};
use crate::apply::{BatchOutcome, apply_batch, keep_targets};
use crate::{enrich, maintenance, settings};

const NAME: &str = "pg_cdc_ods apply worker";
const APPLICATION_NAME: &CStr = c"pg_cdc_ods apply worker";

/// Registers the worker of a database; the postmaster starts it. False when `max_worker_processes` are in use.
pub(super) fn start(database: pg_sys::Oid) -> bool {
    BackgroundWorkerBuilder::new(NAME)
        .set_library(EXTENSION)
        .set_function("pg_cdc_ods_apply_worker_main")
        .enable_spi_access()
        .set_argument(database.into_datum())
        .load_dynamic()
        .is_ok()
}

/// The worker's process; its argument is the oid of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_cdc_ods_apply_worker_main(argument: pg_sys::Datum) {
    attach_signal_handlers();
    // SAFETY: the launcher passes an oid, by value.
    let Some(database) = (unsafe { pg_sys::Oid::from_datum(argument, false) }) else { return };
    if !shared::claim(database) {
        return;
    }
    // SAFETY: the callback is a function of this library, which is never unloaded; the argument is a value.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), argument) };
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    pin(c"search_path", c"pg_catalog, pg_temp");
    pin(c"application_name", APPLICATION_NAME);
    // Statements here are short and come in many shapes: compiling them costs more time and memory than it saves.
    pin(c"jit", c"off");
    // Statements are planned once and kept. What they look up, they look up by index: a plan that read the whole of a
    // table while it was small would stay when the table has grown.
    for (setting, value) in [
        (c"plan_cache_mode", c"force_generic_plan"),
        (c"enable_seqscan", c"off"),
        (c"enable_hashjoin", c"off"),
        (c"enable_mergejoin", c"off"),
    ] {
        pin(setting, value);
    }
    keep_targets();
    run(database);
}

/// Applies and sleeps, until the extension is gone or the server stops.
fn run(database: pg_sys::Oid) {
    let mut maintained = Instant::now();
    loop {
        if drain(database) == Extension::Missing {
            shared::update(database, |slot| slot.state = State::NoExtension);
            return;
        }
        let interval = Duration::from_secs(settings::MAINTENANCE_INTERVAL_S.get().unsigned_abs().into());
        if !interval.is_zero() && maintained.elapsed() >= interval {
            recording_errors(database, c"maintenance", maintenance::step);
            maintained = Instant::now();
        }
        shared::set_idle(database);
        report_activity(pg_sys::BackendState::STATE_IDLE, None);
        let naptime = u64::try_from(settings::NAPTIME_MS.get()).unwrap_or_default();
        if !BackgroundWorker::wait_latch(Some(Duration::from_millis(naptime))) {
            return;
        }
        reload_settings();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    Installed,
    Missing,
}

/// Applies batches, each in its own transaction, until nothing waits.
fn drain(database: pg_sys::Oid) -> Extension {
    loop {
        let Some(outcome) = apply_recording_errors(database) else { return Extension::Missing };
        if !outcome.sent_at.is_empty() {
            shared::count_batch(database, &outcome.sent_at);
        }
        // One step after each batch: neither keeps the other waiting for long.
        let Some(is_enriching) = recording_errors(database, c"enriching", enrich::work_off_step) else {
            return Extension::Missing;
        };
        let more = outcome.more || is_enriching;
        // SAFETY: outside of a transaction, as the statistics require.
        unsafe { pg_sys::pgstat_report_stat(!more) };
        if !more {
            return Extension::Installed;
        }
        pg_sys::check_for_interrupts!();
        reload_settings();
    }
}

/// Applies one batch.
fn apply_recording_errors(database: pg_sys::Oid) -> Option<BatchOutcome> {
    recording_errors(database, c"applying messages", move || {
        shared::update(database, |slot| slot.state = State::Applying);
        apply_batch()
    })
}

/// Does a step in a transaction of its own; `None` if the extension is gone. An error is put into the slot and raised
/// again, which ends the process.
fn recording_errors<R>(
    database: pg_sys::Oid,
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
                shared::record_error(database, report.message());
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
fn pin(name: &CStr, value: &CStr) {
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

fn report_activity(state: pg_sys::BackendState::Type, what: Option<&CStr>) {
    // SAFETY: the text is a constant or null, as the function allows.
    unsafe { pg_sys::pgstat_report_activity(state, what.map_or(std::ptr::null(), CStr::as_ptr)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: c_int, argument: pg_sys::Datum) {
    // SAFETY: the oid that was registered together with this callback.
    if let Some(database) = unsafe { pg_sys::Oid::from_datum(argument, false) } {
        shared::release(database);
    }
}
