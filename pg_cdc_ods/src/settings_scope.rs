//! Settings that hold for a part of a transaction.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Does `work` with settings changed, as a function with SET clauses does. An ERROR restores them, too.
pub(crate) fn with_settings<R>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> R) -> R {
    // SAFETY: a new level of settings, ended below or, after an ERROR, by the end of the (sub)transaction.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        // SAFETY: both are C strings that outlive the call; the settings exist and anybody may set them.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
    let result = work();
    // SAFETY: ends the level begun above; nothing begun within it is still open.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}
