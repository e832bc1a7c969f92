//! Errors as PostgreSQL shows them: SQLSTATE, message, DETAIL and HINT.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

/// Raises an ERROR with a hint that says what to do; never returns.
pub(crate) fn raise(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ! {
    let report = ErrorReport::new(code, message.into(), function_name!()).set_hint(hint.into());
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return");
}

/// Raises the ERROR of an argument that cannot be taken; never returns.
pub(crate) fn invalid(argument: &str, value: &str, hint: &str) -> ! {
    let message = format!("invalid value for argument \"{argument}\": \"{value}\"");
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, hint)
}

/// An ERROR unless an argument has one of these values.
pub(crate) fn one_of(argument: &str, value: &str, allowed: &[&str]) {
    if !allowed.contains(&value) {
        invalid(argument, value, &format!("It is one of: {}.", allowed.join(", ")));
    }
}

/// Raises an ERROR for an SPI call that failed without one of its own; never returns.
pub(crate) fn spi_failed(what: &str, error: &pgrx::spi::Error) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("{what}: {error}"),
        "This is a defect of pg_cdc_ods; please report it with the server's log.",
    )
}
