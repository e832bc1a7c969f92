//! Finding, loading and initialising libsolclient.

use std::env;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::ffi::{Api, LOG_CATEGORY_ALL, LogInfo, SubCode, VersionInfo, log_level, return_code};

/// File names of the library; Debian's policy and Solace's tarball have both.
const FILE_NAMES: [&str; 2] = ["libsolclient.so", "libsolclient.so.1"];

/// A loaded libsolclient. There is one in a process, loaded once and never unloaded, because its threads may
/// outlive any owner.
#[derive(Clone, Copy)]
pub struct Library {
    loaded: &'static Loaded,
}

struct Loaded {
    api: Api,
    path: PathBuf,
    /// Keeps the functions of `api` mapped.
    _library: libloading::Library,
}

static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads the library, or returns the one that this process has loaded before.
    ///
    /// With `path` (option `solace.library`, environment LIBSOLCLIENT) only that file is tried. Without it, in this
    /// order: next to the executable, in `../lib` from there, and where the system's loader looks.
    ///
    /// # Errors
    /// [`Error::LibraryNotFound`] or [`Error::LibraryTooOld`].
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = *loaded {
            return Ok(library);
        }
        let candidates = path.map_or_else(default_candidates, |path| vec![path.to_owned()]);
        let (library, path) = open_first(&candidates)?;
        // SAFETY: a file found under this name is taken for a libsolclient; it stays loaded in `Loaded`.
        let api = unsafe { Api::look_up(&library) }.map_err(|(function, source)| Error::LibraryTooOld {
            path: path.clone(),
            function,
            source,
        })?;
        let library = Self { loaded: Box::leak(Box::new(Loaded { api, path, _library: library })) };
        library.initialize()?;
        *loaded = Some(library);
        Ok(library)
    }

    /// Version of the library, such as `7.33.0.3`.
    pub fn version(self) -> String {
        let mut info: *mut VersionInfo = ptr::null_mut();
        // SAFETY: `info` is a valid place for the result, which points to static data.
        let code = unsafe { (self.api().version_get)(&raw mut info) };
        if code != return_code::OK || info.is_null() {
            return "unknown".to_owned();
        }
        // SAFETY: the call succeeded; the struct and its texts are static.
        unsafe { text((*info).version) }.unwrap_or_else(|| "unknown".to_owned())
    }

    /// The file it was loaded from, or the name that the system's loader resolved.
    pub fn path(self) -> &'static Path {
        &self.loaded.path
    }

    pub(super) fn api(self) -> &'static Api {
        &self.loaded.api
    }

    pub(super) fn sub_code_name(self, sub_code: SubCode) -> String {
        // SAFETY: takes any number; returns a static text.
        unsafe { text((self.api().sub_code_to_string)(sub_code)) }.unwrap_or_else(|| sub_code.to_string())
    }

    /// Succeeds if `code` is OK; else tells why the call of `doing` failed.
    pub(super) fn check(self, code: i32, doing: impl FnOnce() -> String) -> Result<(), Error> {
        if code == return_code::OK { Ok(()) } else { Err(Error::last(&self, doing(), code)) }
    }

    fn initialize(self) -> Result<(), Error> {
        // SAFETY: first call into the library; no properties means its defaults.
        let code = unsafe { (self.api().initialize)(log_level::NOTICE, ptr::null_mut()) };
        self.check(code, || "initialising libsolclient".to_owned())?;
        // SAFETY: the callback is a function without state and lives for ever.
        let code = unsafe { (self.api().log_set_callback)(Some(on_log), ptr::null_mut()) };
        self.check(code, || "setting the log callback of libsolclient".to_owned())?;
        // SAFETY: plain numbers.
        let code = unsafe { (self.api().log_set_filter_level)(LOG_CATEGORY_ALL, log_level::NOTICE) };
        self.check(code, || "setting the log level of libsolclient".to_owned())
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Library").field(&self.loaded.path).finish()
    }
}

/// Copies a C text; `None` for null. Bytes that are not UTF-8 become U+FFFD.
///
/// # Safety
/// `pointer` must be null or point to a NUL-terminated text.
pub(super) unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not null, so by contract NUL-terminated.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

fn default_candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(folder) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        for near in [folder.to_owned(), folder.join("../lib")] {
            candidates.extend(FILE_NAMES.map(|name| near.join(name)));
        }
    }
    candidates.extend(FILE_NAMES.map(PathBuf::from));
    candidates
}

fn open_first(candidates: &[PathBuf]) -> Result<(libloading::Library, PathBuf), Error> {
    let mut tried = Vec::new();
    for candidate in candidates {
        // SAFETY: loading runs the library's initialisers; a libsolclient has none that depend on us.
        match unsafe { libloading::Library::new(candidate) } {
            Ok(library) => return Ok((library, candidate.clone())),
            Err(_) if candidate.is_absolute() && !candidate.exists() => {
                tried.push(format!("{}: no such file", candidate.display()));
            }
            Err(error) => tried.push(format!("{}: {error}", candidate.display())),
        }
    }
    Err(Error::LibraryNotFound { tried })
}

/// Passes the library's log on to ours.
unsafe extern "C" fn on_log(info: *mut LogInfo, _user: *mut c_void) {
    // SAFETY: the library passes a struct that is valid during the call.
    let Some(info) = (unsafe { info.as_ref() }) else { return };
    // SAFETY: the text is terminated and valid during the call.
    let Some(text) = (unsafe { text(info.text) }) else { return };
    let level = info.level;
    run_callback(|| {
        let text = text.trim_end();
        match level {
            ..=log_level::ERROR => tracing::error!(target: "solclient", "{text}"),
            log_level::WARNING => tracing::warn!(target: "solclient", "{text}"),
            log_level::NOTICE | log_level::INFO => tracing::info!(target: "solclient", "{text}"),
            _ => tracing::debug!(target: "solclient", "{text}"),
        }
    });
}

/// Runs the body of a callback from C; a panic is logged and gives `None`, since it may not cross into C.
pub(super) fn run_callback<T>(body: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(body));
    if outcome.is_err() {
        // The panic hook has already written the message; writing more could panic again.
        let _ = catch_unwind(|| tracing::error!("a callback from libsolclient panicked; it was ignored"));
    }
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_one_error_that_says_what_to_do() {
        let error = open_first(&[PathBuf::from("/nonexistent/libsolclient.so")]).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/libsolclient.so: no such file"), "{error}");
        assert!(error.contains("scripts/setup.sh") && error.contains("LIBSOLCLIENT"), "{error}");
    }

    #[test]
    fn a_panic_in_a_callback_ends_there() {
        assert_eq!(run_callback(|| -> u8 { panic!("expected by this test") }), None);
        assert_eq!(run_callback(|| 1), Some(1));
    }
}
