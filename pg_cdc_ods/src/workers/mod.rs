//! The background workers: one launcher for the server, one apply worker for each database with the extension, and one
//! push worker for each that has endpoints.
//!
//! They exist only when the library is loaded by `shared_preload_libraries`; without it all of this does nothing,
//! and messages are applied by hand with `cdc.apply()`.

mod apply_worker;
mod drop_database;
mod launcher;
mod process;
mod push_worker;
mod shared;
mod sql;

use pgrx::prelude::*;

pub(crate) use sql::{push_configuration_changed_at_commit, wake_at_commit, wake_push_worker_at_commit};

/// Name of the library and of the extension.
const EXTENSION: &str = "pg_cdc_ods";

/// Registers shared memory, launcher and hook; called once when the library is loaded.
pub(crate) fn init() {
    // SAFETY: a plain read of a flag that only this process writes.
    if !unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        return;
    }
    shared::init();
    launcher::register();
    drop_database::install_hook();
}
