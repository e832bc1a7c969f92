//! Runs a part of a transaction so that its failure undoes that part alone.

use std::panic::{RefUnwindSafe, UnwindSafe};

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

/// An ERROR that was caught and whose work was undone.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The SQLSTATE.
    pub(crate) code: PgSqlErrorCode,
    /// The primary message.
    pub(crate) message: String,
    /// The DETAIL, where there was one.
    pub(crate) detail: Option<String>,
}

/// Runs `work` in a subtransaction: committed into the outer one if it returns, undone if it raises an ERROR.
pub(crate) fn run<R>(work: impl FnOnce() -> R + UnwindSafe + RefUnwindSafe) -> Result<R, Failure> {
    // SAFETY: plain reads of the backend's globals, restored below exactly as PL/pgSQL does around its
    // exception blocks; the backend has a single thread.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    let restore = || {
        // SAFETY: both were current before the subtransaction began and outlive it.
        unsafe {
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        }
    };
    // SAFETY: called inside a transaction; paired with the release or rollback below.
    unsafe {
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
    }
    let outcome = PgTryBuilder::new(|| Ok(work()))
        .catch_others(|caught| match caught {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => Err(Failure {
                code: report.sql_error_code(),
                message: report.message().to_owned(),
                detail: report.detail().map(str::to_owned),
            }),
            panic @ CaughtError::RustPanic { .. } => panic.rethrow(),
        })
        .execute();
    // SAFETY: ends the subtransaction begun above; nothing begun within it is still open.
    unsafe {
        match &outcome {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
    }
    restore();
    outcome
}
