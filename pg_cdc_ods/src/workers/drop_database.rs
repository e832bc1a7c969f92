//! Commands that need a database without sessions: its workers end before they run.
//!
//! PostgreSQL refuses DROP DATABASE, ALTER DATABASE … RENAME or SET TABLESPACE, and CREATE DATABASE … TEMPLATE while
//! someone is connected. The workers always are, and nobody can ask them to leave; so the command does.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::{PgList, is_a};

use super::shared::{self, Kind, WorkerId};

/// How long the command waits for the workers' end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it looks, in milliseconds; the workers cannot wake it.
const STOP_POLL_MS: c_long = 10;
/// How long no worker starts in the database again, in seconds: the wait, and as much again for the command.
const HOLD_SECONDS: i64 = 20;

/// The hook that was there before this one; written once while the postmaster loads the library.
static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

unsafe extern "C-unwind" {
    /// PostgreSQL's own function; pgrx's turns an ERROR into a panic and loses fields of it on the way.
    #[link_name = "standard_ProcessUtility"]
    fn standard_process_utility(
        planned: *mut pg_sys::PlannedStmt,
        query: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Puts the hook before all utility commands.
pub(super) fn install_hook() {
    // SAFETY: the postmaster loads libraries in a single thread, before any session exists.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// Stops the workers if need be, then goes on with the command.
///
/// Only the first half is guarded. The second half must not be: an ERROR of the command then passes through this
/// function as through one in C, with all its fields; there is nothing here to drop.
unsafe extern "C-unwind" fn process_utility(
    planned: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: PostgreSQL passes a valid statement, and the same arguments go on to the next in the chain.
    unsafe {
        let left = before_utility(planned);
        let next = PREVIOUS.unwrap_or(standard_process_utility);
        next(planned, query, read_only_tree, context, params, environment, dest, completion);
        if left != pg_sys::InvalidOid {
            after_utility(planned, left);
        }
    }
}

/// Stops the workers of the database that the command needs for itself; returns it, or else the invalid oid.
#[pg_guard]
unsafe extern "C-unwind" fn before_utility(planned: *mut pg_sys::PlannedStmt) -> pg_sys::Oid {
    // SAFETY: a valid statement, as PostgreSQL passed it to the hook.
    let Some(database) = (unsafe { database_to_leave((*planned).utilityStmt) }) else {
        return pg_sys::InvalidOid;
    };
    stop_workers(database);
    database
}

/// Lets a worker start again, unless the database is dropped. It waits for the command's transaction by itself: to
/// connect, it needs a lock that the command holds.
#[pg_guard]
unsafe extern "C-unwind" fn after_utility(planned: *mut pg_sys::PlannedStmt, database: pg_sys::Oid) {
    // SAFETY: a valid statement, as PostgreSQL passed it to the hook.
    if unsafe { !is_a((*planned).utilityStmt, pg_sys::NodeTag::T_DropdbStmt) } {
        Kind::ALL.into_iter().for_each(|kind| shared::end_hold(WorkerId { kind, database }));
    }
}

/// The database that the statement needs without sessions, if the user may do that to it.
///
/// # Safety
/// `statement` is a utility statement of PostgreSQL's parser.
unsafe fn database_to_leave(statement: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: each cast follows a check of the node's tag.
    let name = unsafe {
        if is_a(statement, pg_sys::NodeTag::T_DropdbStmt) {
            (*statement.cast::<pg_sys::DropdbStmt>()).dbname
        } else if is_a(statement, pg_sys::NodeTag::T_RenameStmt) {
            let rename = statement.cast::<pg_sys::RenameStmt>();
            if (*rename).renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                return None;
            }
            (*rename).subname
        } else if is_a(statement, pg_sys::NodeTag::T_AlterDatabaseStmt) {
            let alter = statement.cast::<pg_sys::AlterDatabaseStmt>();
            option((*alter).options, c"tablespace")?;
            (*alter).dbname
        } else if is_a(statement, pg_sys::NodeTag::T_CreatedbStmt) {
            let create = statement.cast::<pg_sys::CreatedbStmt>();
            let template = option((*create).options, c"template")?;
            if (*template).arg.is_null() {
                return None;
            }
            pg_sys::defGetString(template)
        } else {
            return None;
        }
    };
    // SAFETY: the name is a string of the statement; inside a transaction.
    let database = unsafe { pg_sys::get_database_oid(name, true) };
    (database != pg_sys::InvalidOid && may_stop(database)).then_some(database)
}

/// The option of this name in a list of options.
///
/// # Safety
/// `options` is a list of `DefElem`, or null.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut pg_sys::DefElem> {
    // SAFETY: as the caller promises; names of options are never null.
    unsafe {
        PgList::<pg_sys::DefElem>::from_pg(options)
            .iter_ptr()
            .find(|element| CStr::from_ptr((**element).defname) == name)
    }
}

/// Only the owner may do what follows; nobody else shall be able to stop a worker by trying.
fn may_stop(database: pg_sys::Oid) -> bool {
    // SAFETY: inside a transaction; both are plain look-ups in the catalogs.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, pg_sys::GetUserId());
    }
}

/// Ends the workers of the database and waits for them, at most [`STOP_TIMEOUT`].
fn stop_workers(database: pg_sys::Oid) {
    let workers = Kind::ALL.map(|kind| WorkerId { kind, database });
    for pid in workers.into_iter().filter_map(|worker| shared::hold(worker, HOLD_SECONDS)) {
        // SAFETY: the slot is released before its process ends, so the process id is the worker's.
        unsafe { kill(pid, pg_sys::SIGTERM as c_int) };
    }
    let began = Instant::now();
    while workers.into_iter().any(shared::is_running) && began.elapsed() < STOP_TIMEOUT {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        // SAFETY: the latch is this process's own.
        unsafe {
            pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, STOP_POLL_MS, pg_sys::PG_WAIT_EXTENSION);
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        pg_sys::check_for_interrupts!();
    }
}
