//! What launcher, workers and sessions know of each other: a fixed table in shared memory.

use std::sync::atomic::{AtomicBool, Ordering};

use cdc_core::LatencyHistogram;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

/// Databases of one server that can have workers; shared memory is sized once, at the server's start.
pub(super) const MAX_DATABASES: usize = 64;
/// Each database can have one worker of each kind.
const MAX_WORKERS: usize = MAX_DATABASES * Kind::ALL.len();
/// Bytes kept of a worker's last error; the whole text is in the server's log.
const LAST_ERROR_BYTES: usize = 256;
/// First and longest wait before a worker that died is started again, in seconds.
const BACKOFF_SECONDS: (i64, i64) = (1, 30);
/// How long a worker may take from its registration until it claims its slot, in seconds.
const START_TIMEOUT_SECONDS: i64 = 30;
/// PostgreSQL counts time in microseconds.
const MICROS_PER_SECOND: i64 = 1_000_000;

// SAFETY: no other lock of a server has this name.
static WORKERS: PgLwLock<Workers> = unsafe { PgLwLock::new(c"pg_cdc_ods workers") };
/// Whether the table exists; set before the postmaster forks, so that every process inherits it.
static PRELOADED: AtomicBool = AtomicBool::new(false);

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Applies what waits in the inbox; one for each database with the extension.
    Apply,
    /// Sends what waits in the outbox; one for each database that has endpoints.
    Push,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 2] = [Self::Apply, Self::Push];

    /// The name shown by `cdc.stat_workers`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply worker",
            Self::Push => "push worker",
        }
    }
}

/// Which worker: one of each kind for each database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WorkerId {
    pub(super) kind: Kind,
    pub(super) database: pg_sys::Oid,
}

impl WorkerId {
    /// The worker that applies in this database.
    pub(super) fn apply(database: pg_sys::Oid) -> Self {
        Self { kind: Kind::Apply, database }
    }

    /// The worker that pushes from this database.
    pub(super) fn push(database: pg_sys::Oid) -> Self {
        Self { kind: Kind::Push, database }
    }
}

/// What a worker is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The slot belongs to no worker.
    Free,
    /// The launcher is asked to start it: it looks itself whether there is something for it to do.
    Requested,
    /// Registered by the launcher; has not finished its first round.
    Starting,
    /// Waits for something to do.
    Idle,
    /// Applies a batch.
    Applying,
    /// Has deliveries under way.
    Pushing,
    /// Ended; is started again when its time has come.
    BackingOff,
    /// Ended because the database does not have the extension.
    NoExtension,
    /// A push worker that ended because the database has no endpoint.
    NoEndpoint,
}

impl State {
    /// The name shown by `cdc.stat_workers`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Requested => "requested",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Applying => "applying",
            Self::Pushing => "pushing",
            Self::BackingOff => "backing off",
            Self::NoExtension => "no extension",
            Self::NoEndpoint => "no endpoint",
        }
    }

    /// Whether the worker ended because there is nothing for it to do.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::NoExtension | Self::NoEndpoint)
    }
}

/// One worker. Times are in PostgreSQL's microseconds; 0 is "never".
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) worker: WorkerId,
    /// Process id, 0 while there is no process.
    pub(super) pid: i32,
    pub(super) state: State,
    /// When the process started, or was registered.
    pub(super) started_at: pg_sys::TimestampTz,
    pub(super) last_batch_at: pg_sys::TimestampTz,
    pub(super) batches: i64,
    pub(super) events: i64,
    pub(super) restarts: i64,
    /// Time from the sending of a message to the commit of its effects.
    pub(super) latency: LatencyHistogram,
    /// Asked for while a process ran that may have looked for the extension, or endpoints, before they were there.
    requested_again: bool,
    /// The configuration has changed since the worker read it.
    configuration_changed: bool,
    /// Ends in a row without a completed round; decides the next wait.
    failures: u32,
    /// No process may start before this time.
    not_before: pg_sys::TimestampTz,
    last_error: [u8; LAST_ERROR_BYTES],
    last_error_len: usize,
}

impl Slot {
    const FREE: Self = Self {
        worker: WorkerId { kind: Kind::Apply, database: pg_sys::InvalidOid },
        pid: 0,
        state: State::Free,
        started_at: 0,
        last_batch_at: 0,
        batches: 0,
        events: 0,
        restarts: 0,
        latency: LatencyHistogram::EMPTY,
        requested_again: false,
        configuration_changed: false,
        failures: 0,
        not_before: 0,
        last_error: [0; LAST_ERROR_BYTES],
        last_error_len: 0,
    };

    /// The message of the last error, cut to what the slot holds.
    pub(super) fn last_error(&self) -> Option<&str> {
        let text = self.last_error.get(..self.last_error_len)?;
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    fn is_due(&self, now: pg_sys::TimestampTz) -> bool {
        let lost = self.state == State::Starting
            && now - self.started_at > START_TIMEOUT_SECONDS * MICROS_PER_SECOND;
        self.pid == 0
            && now >= self.not_before
            && (lost || matches!(self.state, State::Requested | State::BackingOff))
    }
}

/// The table in shared memory.
struct Workers {
    /// Process id of the launcher, 0 while there is none.
    launcher: i32,
    slots: [Slot; MAX_WORKERS],
}

// SAFETY: plain data without pointers, the same in every process.
unsafe impl PGRXSharedMemory for Workers {}

impl Workers {
    fn find(&mut self, worker: WorkerId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.state != State::Free && slot.worker == worker)
    }

    fn find_or_take(&mut self, worker: WorkerId) -> Option<&mut Slot> {
        let position = self
            .slots
            .iter()
            .position(|slot| slot.state != State::Free && slot.worker == worker)
            .or_else(|| self.slots.iter().position(|slot| slot.state == State::Free))?;
        let slot = self.slots.get_mut(position)?;
        if slot.state == State::Free {
            *slot = Slot { worker, state: State::Requested, ..Slot::FREE };
        }
        Some(slot)
    }
}

/// Asks for the shared memory; only while the postmaster loads the library.
#[expect(
    unexpected_cfgs,
    reason = "the macro asks for PostgreSQL versions that this crate has no feature for"
)]
pub(super) fn init() {
    pg_shmem_init!(WORKERS = Workers { launcher: 0, slots: [Slot::FREE; MAX_WORKERS] });
    PRELOADED.store(true, Ordering::Relaxed);
}

/// Whether the library was preloaded: without it there is no table, and no worker.
pub(super) fn is_available() -> bool {
    PRELOADED.load(Ordering::Relaxed)
}

fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock only.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

fn my_pid() -> i32 {
    // SAFETY: set once at the start of the process.
    unsafe { pg_sys::MyProcPid }
}

/// The launcher's process id, 0 while there is none.
pub(super) fn launcher_pid() -> i32 {
    WORKERS.share().launcher
}

/// This process is the launcher from now on.
pub(super) fn claim_launcher() {
    WORKERS.exclusive().launcher = my_pid();
}

/// The launcher ends.
pub(super) fn release_launcher() {
    WORKERS.exclusive().launcher = 0;
}

/// A copy of every slot that belongs to a worker.
pub(super) fn slots() -> Vec<Slot> {
    let mut copy = Vec::with_capacity(MAX_WORKERS);
    copy.extend(WORKERS.share().slots.iter().filter(|slot| slot.state != State::Free));
    copy
}

/// Asks the launcher to start a worker, which looks whether there is something for it to do. False when no slot is free.
pub(super) fn request(worker: WorkerId) -> bool {
    let granted = WORKERS.exclusive().find_or_take(worker).is_some_and(|slot| {
        if slot.pid == 0 {
            slot.state = State::Requested;
            slot.not_before = 0;
        } else {
            slot.requested_again = true;
        }
        true
    });
    wake_launcher();
    granted
}

/// Gives a worker its slot, so that it is started; an existing slot stays as it is.
pub(super) fn adopt(worker: WorkerId) -> bool {
    WORKERS.exclusive().find_or_take(worker).is_some()
}

/// The slot's worker is about to be registered. False when it is not due.
pub(super) fn begin_start(worker: WorkerId) -> bool {
    let now = now();
    let mut workers = WORKERS.exclusive();
    let Some(slot) = workers.find(worker).filter(|slot| slot.is_due(now)) else { return false };
    slot.restarts += i64::from(slot.state == State::BackingOff);
    slot.state = State::Starting;
    slot.started_at = now;
    true
}

/// The slot's worker could not be registered: it is tried again after a wait.
pub(super) fn start_failed(worker: WorkerId) {
    if let Some(slot) = WORKERS.exclusive().find(worker) {
        back_off(slot);
    }
}

/// This process is the worker. False when there is one, or may not be one now.
pub(super) fn claim(worker: WorkerId) -> bool {
    let now = now();
    let mut workers = WORKERS.exclusive();
    match workers.find(worker) {
        Some(slot) if slot.pid == 0 && slot.state == State::Starting && now >= slot.not_before => {
            slot.pid = my_pid();
            slot.started_at = now;
            true
        }
        _ => false,
    }
}

/// Changes the slot of this worker; does nothing when the slot is no longer its own.
pub(super) fn update(worker: WorkerId, change: impl FnOnce(&mut Slot)) {
    let pid = my_pid();
    if let Some(slot) = WORKERS.exclusive().find(worker).filter(|slot| slot.pid == pid) {
        change(slot);
    }
}

/// The worker completed a round and has nothing left to do.
pub(super) fn set_idle(worker: WorkerId) {
    update(worker, |slot| {
        slot.state = State::Idle;
        slot.failures = 0;
    });
}

/// The worker completed a round, and waits for what it has under way.
pub(super) fn set_busy(worker: WorkerId, state: State) {
    update(worker, |slot| {
        slot.state = state;
        slot.failures = 0;
    });
}

/// The worker recorded what became of this many deliveries.
pub(super) fn count_deliveries(worker: WorkerId, deliveries: usize) {
    let now = now();
    update(worker, |slot| {
        slot.last_batch_at = now;
        slot.batches += 1;
        slot.events = slot.events.saturating_add_unsigned(deliveries as u64);
    });
}

/// The worker committed a batch of messages that were sent at these times.
pub(super) fn count_batches(worker: WorkerId, batches: i64, sent_at: &[pg_sys::TimestampTz]) {
    let now = now();
    let mut latency = LatencyHistogram::EMPTY;
    sent_at.iter().for_each(|sent_at| latency.record(now.saturating_sub(*sent_at)));
    update(worker, |slot| {
        slot.last_batch_at = now;
        slot.batches += batches;
        slot.events = slot.events.saturating_add_unsigned(sent_at.len() as u64);
        slot.latency.add(&latency);
    });
}

/// Keeps the beginning of an error's message.
pub(super) fn record_error(worker: WorkerId, message: &str) {
    let text = &message.as_bytes()[..message.floor_char_boundary(LAST_ERROR_BYTES)];
    update(worker, |slot| {
        slot.last_error[..text.len()].copy_from_slice(text);
        slot.last_error_len = text.len();
    });
}

/// The worker's process ends: it is started again after a wait, unless there is nothing for it to do.
pub(super) fn release(worker: WorkerId) {
    update(worker, |slot| {
        slot.pid = 0;
        if !slot.state.is_over() {
            back_off(slot);
        } else if slot.requested_again {
            slot.state = State::Requested;
        }
        slot.requested_again = false;
    });
    wake_launcher();
}

/// Frees the slot of a worker that is not needed any more, unless it changed since it was read.
pub(super) fn forget(read: &Slot) {
    let mut workers = WORKERS.exclusive();
    if let Some(slot) = workers.find(read.worker).filter(|slot| slot.pid == 0 && slot.state == read.state) {
        *slot = Slot::FREE;
    }
}

/// The worker may not start for this many seconds. Returns its process id if it runs.
pub(super) fn hold(worker: WorkerId, seconds: i64) -> Option<i32> {
    let until = now() + seconds * MICROS_PER_SECOND;
    let mut workers = WORKERS.exclusive();
    let slot = workers.find_or_take(worker)?;
    slot.not_before = until;
    Some(slot.pid).filter(|pid| *pid != 0)
}

/// The worker that [`hold`] kept away may start at once.
pub(super) fn end_hold(worker: WorkerId) {
    if let Some(slot) = WORKERS.exclusive().find(worker) {
        slot.not_before = 0;
        slot.failures = 0;
    }
    wake_launcher();
}

/// Whether a process still holds the worker's slot.
pub(super) fn is_running(worker: WorkerId) -> bool {
    WORKERS.share().slots.iter().any(|slot| slot.worker == worker && slot.pid != 0)
}

/// Sets when the slot may have a process again; a hold that lasts longer stays.
fn back_off(slot: &mut Slot) {
    let (first, longest) = BACKOFF_SECONDS;
    let wait = first.checked_shl(slot.failures).map_or(longest, |seconds| seconds.clamp(first, longest));
    slot.failures = (slot.failures + 1).min(BACKOFF_SECONDS.1.ilog2() + 1);
    slot.state = State::BackingOff;
    slot.not_before = slot.not_before.max(now() + wait * MICROS_PER_SECOND);
}

/// Wakes a worker, if it runs.
pub(super) fn wake(worker: WorkerId) {
    let pid = WORKERS.share().slots.iter().find(|slot| slot.worker == worker).map_or(0, |slot| slot.pid);
    set_latch_of(pid);
}

/// Tells a worker that its configuration has changed, and has it started if it does not run. False when no slot is free.
pub(super) fn configuration_changed(worker: WorkerId) -> bool {
    let granted = request(worker);
    if let Some(slot) = WORKERS.exclusive().find(worker) {
        slot.configuration_changed = true;
    }
    wake(worker);
    granted
}

/// Whether the configuration has changed since this was asked last, by the worker itself.
pub(super) fn take_configuration_changed(worker: WorkerId) -> bool {
    let mut changed = false;
    update(worker, |slot| changed = std::mem::take(&mut slot.configuration_changed));
    changed
}

/// Wakes the launcher, if there is one.
pub(super) fn wake_launcher() {
    set_latch_of(launcher_pid());
}

fn set_latch_of(pid: i32) {
    if pid == 0 {
        return;
    }
    // SAFETY: the array of processes lives in shared memory for as long as the server; a latch that meanwhile belongs
    // to another process is woken for nothing, which every process expects.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}
