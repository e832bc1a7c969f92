//! Writes a set of changes; when the server refuses a row, finds it by halving and sets only that one aside.

use cdc_core::{ErrorType, Reject, RowChange};
use pgrx::prelude::*;

use super::targets::Target;
use crate::subtransaction::{self, Failure};

/// Runs a statement over changes with the rights of a role; returns the rows written.
///
/// Where it fails by the fault of a row, the changes are halved until the row stands alone in `refused`.
pub(super) fn write_or_halve<'c, 'a>(
    role: pg_sys::Oid,
    changes: &[&'c RowChange<'a>],
    refused: &mut Vec<(&'c RowChange<'a>, Reject)>,
    write: &dyn Fn(&[&RowChange<'_>]) -> i64,
) -> i64 {
    let reject = match attempt(role, || write(changes)) {
        Ok(written) => return written,
        Err(reject) => reject,
    };
    if let [change] = changes {
        refused.push((change, reject));
        return 0;
    }
    let (left, right) = changes.split_at(changes.len() / 2);
    write_or_halve(role, left, refused, write) + write_or_halve(role, right, refused, write)
}

/// Runs a statement with the rights of a role; returns the rows written, or why it failed by the fault of a row, with its
/// work undone. By the server's fault the whole batch fails, to be tried again later.
pub(super) fn attempt(role: pg_sys::Oid, write: impl FnOnce() -> i64) -> Result<i64, Reject> {
    let write = std::panic::AssertUnwindSafe(|| as_user(role, write));
    subtransaction::run(move || { write }())
        .map_err(|failure| row_fault(&failure).unwrap_or_else(|| raise_again(&failure)))
}

/// Why a failure is a row's own, judged by its SQLSTATE; `None` if waiting or repair can heal it.
fn row_fault(failure: &Failure) -> Option<Reject> {
    let state = sqlstate(failure.code);
    let error_type = match &state[..2] {
        "22" => ErrorType::SchemaMismatch,
        "23" => ErrorType::ConstraintViolation,
        "0A" | "21" | "42" | "44" | "54" | "P0" => ErrorType::ProcessingError,
        _ => return None,
    };
    let detail = failure.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let reject = Reject::whole(error_type, format!("{}{detail} [SQLSTATE {state}]", failure.message));
    // A row that a foreign key names, a right, or a table that a trigger uses: each may come later.
    let may_heal = matches!(state.as_str(), "23503" | "42501" | "42P01");
    Some(if may_heal { reject.that_may_heal() } else { reject })
}

/// The five characters of a SQLSTATE from PostgreSQL's packed number: six bits for each.
pub(crate) fn sqlstate(code: PgSqlErrorCode) -> String {
    let packed = code as i32;
    (0..5).map(|place| char::from(b'0' + ((packed >> (6 * place)) & 0x3f) as u8)).collect()
}

/// Raises a failure as the ERROR it was; never returns.
pub(crate) fn raise_again(failure: &Failure) -> ! {
    let mut report =
        pg_sys::panic::ErrorReport::new(failure.code, failure.message.clone(), pgrx::function_name!());
    if let Some(detail) = &failure.detail {
        report = report.set_detail(detail.clone());
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Runs `work` with the rights of the target's owner, and only those.
pub(super) fn as_owner<R>(target: &Target, work: impl FnOnce() -> R) -> R {
    as_user(target.owner, work)
}

/// Runs `work` with the rights of a role, and only those.
pub(crate) fn as_user<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    with_rights(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE, work)
}

/// The same for SQL that only reads: it can leave nothing behind that would run later with other rights, such as a
/// deferred trigger or a temporary object.
pub(crate) fn as_restricted_user<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    let restriction = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    with_rights(role, restriction, work)
}

fn with_rights<R>(role: pg_sys::Oid, restriction: u32, work: impl FnOnce() -> R) -> R {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and sets the backend's current user as SECURITY DEFINER functions do. If `work` raises an
    // ERROR the end of the (sub)transaction restores both.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | restriction.cast_signed());
    }
    let result = work();
    // SAFETY: gives back what was saved above.
    unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    result
}
