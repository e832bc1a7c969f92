//! The push worker of one database: sends what waits in the outbox, by the engine of crate `cdc-push`.
//!
//! ```text
//! cdc.outbox ──claim (lease)──► engine's thread ──HTTP──► endpoints
//!      ▲                             │ outcomes
//!      └──────── one transaction ◄───┘
//! ```
//!
//! No transaction is open while anything is under way, and only this process's main thread calls PostgreSQL. What this
//! process writes can be lost without harm: an event whose delivery was not recorded is sent again with the same event
//! id. So its commits are not waited for (`synchronous_commit` is off here).

mod claims;
mod endpoints;
mod outcomes;
mod statistics;
mod timer;
mod truncation;

use std::collections::HashMap;
use std::ffi::c_long;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use cdc_push::{Engine, EngineOptions, Outcome, StartError, WakeupFd};
use pgrx::prelude::*;

use self::claims::Claimed;
use self::endpoints::Windows;
use self::outcomes::Tallies;
use self::timer::Timer;
use super::launcher::reload_settings;
use super::process::{self, recording_errors};
use super::shared::{self, Kind, State, WorkerId};
use crate::{outbox, settings};

/// How long requests under way may take to be answered when the worker ends. What is not answered by then is sent again
/// by the next one.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// A lease is longer than the longest stay in the engine by this much, for recording the outcome.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The worker's process; its argument is the oid of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_cdc_ods_push_worker_main(argument: pg_sys::Datum) {
    let Some(worker) = process::begin(Kind::Push, argument, c"pg_cdc_ods push worker") else { return };
    process::pin(c"synchronous_commit", c"off");
    match PushWorker::start(worker) {
        Ok(push_worker) => push_worker.run(),
        Err(error) => error!(
            "{error}: {}",
            std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
        ),
    }
}

struct PushWorker {
    worker: WorkerId,
    engine: Engine,
    wakeup: WakeupFd,
    windows: Windows,
    /// The endpoint and the size of each row in the engine.
    held: HashMap<i64, Held>,
    /// Rows that were claimed and that the engine did not take.
    untaken: Vec<i64>,
    /// When rows are due that were given back.
    timer: Timer,
    /// Rows may wait that have not been looked for.
    look: bool,
    statistics: statistics::Statistics,
}

struct Held {
    endpoint: String,
    bytes: usize,
}

/// Whether the worker goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    End(State),
}

impl PushWorker {
    fn start(worker: WorkerId) -> Result<Self, StartError> {
        let (wakeup, engine) = start_engine()?;
        Ok(Self {
            worker,
            engine,
            wakeup,
            windows: Windows::default(),
            held: HashMap::new(),
            untaken: Vec::new(),
            timer: Timer::default(),
            look: true,
            statistics: statistics::Statistics::default(),
        })
    }

    /// Sends and sleeps, until there is nothing to send to, or the server stops.
    fn run(mut self) {
        let released = self.in_transaction(c"releasing leases", |_| claims::release_all());
        let mut configuration_is_old = true;
        let end = loop {
            if released.is_none() {
                break State::NoExtension;
            }
            if configuration_is_old && let Next::End(state) = self.configure() {
                break state;
            }
            if let Next::End(state) = self.round() {
                break state;
            }
            if !self.may_claim() {
                self.report_state();
                if !self.wait() {
                    self.end();
                    return;
                }
            }
            let reloaded = reload_settings();
            configuration_is_old = shared::take_configuration_changed(self.worker) || reloaded;
        };
        shared::update(self.worker, |slot| slot.state = end);
    }

    /// Reads the endpoints, and has the engine use them.
    fn configure(&mut self) -> Next {
        match self.in_transaction(c"reading endpoints", |_| endpoints::read()) {
            None => Next::End(State::NoExtension),
            Some(configured) if configured.is_empty() => Next::End(State::NoEndpoint),
            Some(configured) => {
                self.windows = Windows::of(&configured).carry_over(&self.windows);
                self.engine.configure(configured, outbox::address_policy());
                self.look = true;
                Next::Continue
            }
        }
    }

    /// Records what has come out of the engine, and claims and submits what may go in: one transaction.
    fn round(&mut self) -> Next {
        // Before the outcomes are fetched, so that none is missed.
        self.wakeup.clear();
        let outcomes = self.engine.outcomes();
        self.note(&outcomes);
        if !self.engine.is_running()
            && let Err(error) = self.restart_engine()
        {
            warning!("{error}");
            return Next::Continue;
        }
        let requests = if self.look { self.claim_requests() } else { Vec::new() };
        let statuses = self.engine.statuses();
        if outcomes.is_empty()
            && requests.is_empty()
            && self.untaken.is_empty()
            && self.statistics.news(&statuses, &Tallies::new()).is_empty()
        {
            return Next::Continue;
        }
        let lease = self.engine.longest_stay() + LEASE_MARGIN;
        let recorded = self.in_transaction(c"recording and claiming", |this| {
            claims::release(&this.untaken);
            let tallies = outcomes::record(&outcomes, &this.held);
            statistics::write(&this.statistics.news(&statuses, &tallies), &tallies);
            statistics::count_discarded();
            let claimed = claims::claim(&requests, lease);
            if claimed.is_empty() && this.engine.held() == 0 {
                truncation::truncate_if_empty();
            }
            claimed
        });
        let Some(claimed) = recorded else { return Next::End(State::NoExtension) };
        self.statistics.written(statuses);
        self.forget(&outcomes);
        self.untaken.clear();
        if !requests.is_empty() {
            // Full to the brim: there may be more.
            self.look = claims::are_filled(&requests, &claimed);
        }
        self.submit(claimed);
        Next::Continue
    }

    /// Notes when rows come back that are not over.
    fn note(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes.iter().filter(|outcome| !outcome.fate.is_final()) {
            match outcomes::pause(outcome) {
                Duration::ZERO => self.look = true,
                pause => self.timer.set(Instant::now() + pause),
            }
        }
    }

    fn forget(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if let Some(held) = self.held.remove(&outcome.id) {
                self.windows.give_back(&held.endpoint, held.bytes);
            }
        }
        if !outcomes.is_empty() {
            shared::count_deliveries(self.worker, outcomes.len());
        }
    }

    /// What may be claimed for each endpoint: nothing for one that refuses everything for some time.
    fn claim_requests(&self) -> Vec<claims::Request> {
        let now = Instant::now();
        let refused = self
            .engine
            .statuses()
            .into_iter()
            .filter(|status| status.refuses_until.is_some_and(|until| until > now));
        let refused: Vec<_> = refused.map(|status| status.name).collect();
        self.windows.requests(|endpoint| !refused.iter().any(|name| name == endpoint))
    }

    fn may_claim(&self) -> bool {
        self.look && !self.claim_requests().is_empty()
    }

    /// Gives what was claimed to the engine, in order. Where it takes one not, it gets none of the same endpoint behind
    /// it.
    fn submit(&mut self, claimed: Vec<Claimed>) {
        let mut closed = Vec::new();
        for row in claimed {
            let (id, endpoint, bytes) = (row.id, row.delivery.endpoint.clone(), row.delivery.body.len());
            if closed.contains(&endpoint) || self.engine.submit(row.delivery).is_err() {
                self.untaken.push(id);
                closed.push(endpoint);
            } else {
                self.windows.take(&endpoint, bytes);
                self.held.insert(id, Held { endpoint, bytes });
            }
        }
    }

    /// Another engine in place of one that failed. All that it held was given back.
    fn restart_engine(&mut self) -> Result<(), StartError> {
        warning!("the delivery engine failed and is started again; please report this with the server's log");
        (self.wakeup, self.engine) = start_engine()?;
        shared::configuration_changed(self.worker);
        self.windows = Windows::default();
        Ok(())
    }

    fn report_state(&self) {
        if self.held.is_empty() {
            shared::set_idle(self.worker);
        } else {
            shared::set_busy(self.worker, State::Pushing);
        }
        process::report_idle();
    }

    /// Sleeps until there is something to do. False when the process is asked to end.
    fn wait(&mut self) -> bool {
        let naptime = Duration::from_millis(settings::NAPTIME_MS.get().unsigned_abs().into());
        let now = Instant::now();
        let refusals = self.engine.statuses().into_iter().filter_map(|status| status.refuses_until);
        let moments = refusals.filter(|until| *until > now).chain(self.timer.next());
        let until_next = moments.map(|moment| moment.saturating_duration_since(now)).min().unwrap_or(naptime);
        let timeout = until_next.min(naptime) + Duration::from_millis(1);
        let events = pg_sys::WL_LATCH_SET
            | pg_sys::WL_SOCKET_READABLE
            | pg_sys::WL_TIMEOUT
            | pg_sys::WL_EXIT_ON_PM_DEATH;
        // SAFETY: the latch is this process's own, and the descriptor is open for as long as `self`.
        let happened = unsafe {
            pg_sys::WaitLatchOrSocket(
                pg_sys::MyLatch,
                events.cast_signed(),
                self.wakeup.as_raw_fd(),
                timeout.as_millis() as c_long,
                pg_sys::PG_WAIT_EXTENSION,
            )
        };
        // SAFETY: as above; the flag exists to be read and written by this process.
        let is_asked_to_end = unsafe {
            pg_sys::ResetLatch(pg_sys::MyLatch);
            (&raw mut pg_sys::ProcDiePending).read_volatile() != 0
        };
        if is_asked_to_end {
            return false;
        }
        pg_sys::check_for_interrupts!();
        let woken = happened.cast_unsigned() & (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT) != 0;
        self.look |= woken | self.timer.take_due(Instant::now());
        true
    }

    /// Ends in order: what is answered soon is recorded, and the rest is released.
    fn end(self) {
        // SAFETY: the request to end is obeyed here; the flag would end the last transaction before its commit.
        unsafe { (&raw mut pg_sys::ProcDiePending).write_volatile(0) };
        let Self { worker, engine, held, .. } = self;
        let statuses = engine.statuses();
        let outcomes = AssertUnwindSafe(engine.shutdown(SHUTDOWN_GRACE));
        let held = AssertUnwindSafe(held);
        recording_errors(worker, c"ending", move || {
            let tallies = outcomes::record(&outcomes, &held);
            statistics::write(&statuses.iter().collect::<Vec<_>>(), &tallies);
            claims::release_all();
        });
    }

    fn in_transaction<R>(
        &mut self,
        activity: &'static std::ffi::CStr,
        step: impl FnOnce(&mut Self) -> R,
    ) -> Option<R> {
        let worker = self.worker;
        let step = AssertUnwindSafe(|| step(self));
        // An ERROR ends the process, so nobody sees what it leaves half done.
        let result = recording_errors(worker, activity, move || { step }.0());
        // SAFETY: outside of a transaction, as the statistics require.
        unsafe { pg_sys::pgstat_report_stat(false) };
        result
    }
}

fn start_engine() -> Result<(WakeupFd, Engine), StartError> {
    let (wakeup_fd, wakeup) = WakeupFd::new()?;
    // What is claimed is bounded by endpoint, so that none fills the engine: see `Windows`.
    let options =
        EngineOptions { max_deliveries: usize::MAX, max_bytes: usize::MAX, ..EngineOptions::default() };
    Ok((wakeup_fd, Engine::start(options, wakeup)?))
}
