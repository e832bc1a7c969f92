//! The apply worker of one database: applies what waits in the inbox, then sleeps until it is woken.

use std::time::{Duration, Instant};

use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

use super::launcher::reload_settings;
use super::process::{self, recording_errors};
use super::shared::{self, Kind, State, WorkerId};
use crate::apply::{Outcome, apply_for, keep_targets};
use crate::{enrich, maintenance, outbox, settings};

/// The worker's process; its argument is the oid of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_cdc_ods_apply_worker_main(argument: pg_sys::Datum) {
    if let Some(worker) = process::begin(Kind::Apply, argument, c"pg_cdc_ods apply worker") {
        keep_targets();
        run(worker);
    }
}

/// Applies and sleeps, until the extension is gone or the server stops.
fn run(worker: WorkerId) {
    let mut maintained = Instant::now();
    // A worker that has just started may follow one that failed: what it can apply is committed batch by batch at first.
    let mut transaction_time = Duration::ZERO;
    if recording_errors(worker, c"looking for endpoints", outbox::has_endpoints) == Some(true) {
        shared::request(WorkerId::push(worker.database));
    }
    loop {
        if drain(worker, &mut transaction_time) == Extension::Missing {
            shared::update(worker, |slot| slot.state = State::NoExtension);
            return;
        }
        let interval = Duration::from_secs(settings::MAINTENANCE_INTERVAL_S.get().unsigned_abs().into());
        if !interval.is_zero() && maintained.elapsed() >= interval {
            recording_errors(worker, c"maintenance", maintenance::step);
            maintained = Instant::now();
        }
        shared::set_idle(worker);
        process::report_idle();
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

/// Applies what waits, in one transaction after another, until nothing is left.
fn drain(worker: WorkerId, transaction_time: &mut Duration) -> Extension {
    loop {
        let began = Instant::now();
        let Some(outcome) = apply_recording_errors(worker, *transaction_time) else {
            return Extension::Missing;
        };
        let time = began.elapsed();
        if outcome.batches > 0 {
            shared::count_batches(worker, outcome.batches, &outcome.sent_at);
            *transaction_time =
                Duration::from_millis(settings::TRANSACTION_TIME_MS.get().unsigned_abs().into());
        }
        // One step after each transaction: neither keeps the other waiting for long.
        let step = move || enrich::work_off_between_transactions(time);
        let Some(is_enriching) = recording_errors(worker, c"enriching", step) else {
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

/// Applies one transaction's batches.
fn apply_recording_errors(worker: WorkerId, transaction_time: Duration) -> Option<Outcome> {
    recording_errors(worker, c"applying messages", move || {
        shared::update(worker, |slot| slot.state = State::Applying);
        apply_for(transaction_time)
    })
}
