//! The launcher: finds the databases of the server, and keeps their workers running where the extension is.

use std::collections::HashSet;
use std::ffi::c_int;
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::prelude::*;

use super::shared::{self, Kind, State, WorkerId};
use super::{EXTENSION, process};

/// After which time the postmaster starts a launcher again that ended.
const RESTART: Duration = Duration::from_secs(5);
/// How often new databases are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How often workers that wait for their restart are looked at; as long as the shortest wait.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// Registers the launcher with the postmaster.
pub(super) fn register() {
    BackgroundWorkerBuilder::new("pg_cdc_ods launcher")
        .set_library(EXTENSION)
        .set_function("pg_cdc_ods_launcher_main")
        .enable_spi_access()
        // A stand-by cannot write: there the launcher starts when it is promoted.
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(RESTART))
        .load();
}

/// The launcher's process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_cdc_ods_launcher_main(_argument: pg_sys::Datum) {
    attach_signal_handlers();
    // SAFETY: the callback is a function of this library, which is never unloaded.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0)) };
    shared::claim_launcher();
    BackgroundWorker::connect_worker_to_spi(None, None);

    let mut without_extension = HashSet::new();
    loop {
        let waiting = round(&mut without_extension);
        let timeout = if waiting { RESTART_INTERVAL } else { LOOK_INTERVAL };
        if !BackgroundWorker::wait_latch(Some(timeout)) {
            return;
        }
        reload_settings();
    }
}

/// Looks at all databases once. True when a worker waits for its restart.
fn round(without_extension: &mut HashSet<pg_sys::Oid>) -> bool {
    let databases = BackgroundWorker::transaction(databases);
    without_extension.retain(|database| databases.contains(database));
    for slot in shared::slots() {
        let database = slot.worker.database;
        if slot.state.is_over() || !databases.contains(&database) {
            shared::forget(&slot);
        }
        match (slot.worker.kind, slot.state) {
            (Kind::Apply, State::NoExtension) => _ = without_extension.insert(database),
            (Kind::Apply, _) => _ = without_extension.remove(&database),
            (Kind::Push, _) => (),
        }
    }
    // A push worker is asked for by the apply worker of its database.
    let known: HashSet<_> = shared::slots().iter().map(|slot| slot.worker).collect();
    let wanted = databases.difference(without_extension).map(|database| WorkerId::apply(*database));
    for worker in wanted.filter(|worker| !known.contains(worker)) {
        if !shared::adopt(worker) {
            break;
        }
    }
    for worker in shared::slots().iter().map(|slot| slot.worker) {
        if shared::begin_start(worker) && !process::start(worker) {
            shared::start_failed(worker);
            warning!("no {} could be started: raise max_worker_processes", worker.kind.name());
        }
    }
    shared::slots().iter().any(|slot| slot.pid == 0)
}

/// The databases that take connections and are no templates. Needs a transaction.
fn databases() -> HashSet<pg_sys::Oid> {
    let mut found = HashSet::new();
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: inside a transaction; the relation and the scan are closed in order, and a tuple is read before the
    // next one is fetched. `FormData_pg_database` is the fixed part of a row of this catalog.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::table_beginscan_catalog(catalog, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if (*row).datallowconn && !(*row).datistemplate {
                found.insert((*row).oid);
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(catalog, lock);
    }
    found
}

#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: c_int, _argument: pg_sys::Datum) {
    shared::release_launcher();
}

/// SIGHUP reloads the settings, SIGTERM ends the process at the next check for interrupts, also inside a batch.
pub(super) fn attach_signal_handlers() {
    // SAFETY: signals are still blocked; the handler does only what a handler may.
    unsafe { pg_sys::pqsignal(pg_sys::SIGTERM as c_int, Some(on_sigterm)) };
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
}

unsafe extern "C-unwind" fn on_sigterm(_signal: c_int) {
    // SAFETY: the flags exist to be written by signal handlers, and `SetLatch` may be called by one.
    unsafe {
        (&raw mut pg_sys::ProcDiePending).write_volatile(1);
        (&raw mut pg_sys::InterruptPending).write_volatile(1);
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}

/// Reads the settings again if SIGHUP asked for it; whether it did.
pub(super) fn reload_settings() -> bool {
    let asked = BackgroundWorker::sighup_received();
    if asked {
        // SAFETY: called by the worker's main loop, outside of a transaction.
        unsafe {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    asked
}
