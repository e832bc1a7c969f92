//! What is kept in memory of the configuration, until that changes.
//!
//! PostgreSQL tells every process which tables have changed, also of changes of its own that it undoes; changes of the rows
//! of the configuration are told in the same way, by triggers that mark its tables as changed.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::CStr;
use std::rc::Rc;
use std::thread::LocalKey;

use pgrx::prelude::*;

/// The tables that enriched tables, aggregates and rules are made of.
const CONFIGURATION: [&CStr; 6] =
    [c"enrichments", c"aggregates", c"alerts", c"routes", c"attachments", c"schema_history"];

thread_local! {
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
    /// Grows with every change of a table that matters.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
}

/// A value that was made from the configuration.
pub(crate) struct Kept<T>(Option<(u64, Rc<T>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Kept<T> {
    /// The value as it is now. `load` makes it, and tells the tables that it is made from beside those of the
    /// configuration; `None` if it must not be kept.
    pub(crate) fn get(
        place: &'static LocalKey<RefCell<Self>>,
        load: impl FnOnce() -> (T, Option<Vec<pg_sys::Oid>>),
    ) -> Rc<T> {
        let kept = place.with_borrow(|kept| kept.0.clone());
        if let Some((_, value)) = kept.filter(|(changes, _)| *changes == CHANGES.get()) {
            return value;
        }
        watch_configuration();
        // Before it is made: a change meanwhile makes it invalid again.
        let changes = CHANGES.get();
        let (value, tables) = load();
        let value = Rc::new(value);
        let kept = tables.filter(|_| sees_what_is_committed()).map(|tables| {
            WATCHED.with_borrow_mut(|watched| watched.extend(tables));
            (changes, Rc::clone(&value))
        });
        place.with_borrow_mut(|place| place.0 = kept);
        value
    }
}

/// A transaction that reads as of its beginning may read what is out of date already.
fn sees_what_is_committed() -> bool {
    // SAFETY: a plain read of the backend's own state.
    unsafe { pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ.cast_signed() }
}

fn watch_configuration() {
    if !IS_WATCHING.replace(true) {
        // SAFETY: the callbacks are functions of this library, which is never unloaded; they take no argument.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_table), pg_sys::Datum::from(0));
            let schemas = pg_sys::SysCacheIdentifier::NAMESPACEOID.cast_signed();
            pg_sys::CacheRegisterSyscacheCallback(schemas, Some(on_schema), pg_sys::Datum::from(0));
        }
    }
    // SAFETY: names that are C strings, looked up in the catalog within a transaction.
    let tables = CONFIGURATION.map(|name| unsafe {
        pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"cdc".as_ptr(), true))
    });
    WATCHED.with_borrow_mut(|watched| watched.extend(tables));
}

/// Told of each table that has changed; of all of them by the invalid oid.
#[pg_guard]
unsafe extern "C-unwind" fn on_table(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let is_watched =
        WATCHED.with(|watched| watched.try_borrow().map_or(true, |watched| watched.contains(&relation)));
    if relation == pg_sys::InvalidOid || is_watched {
        CHANGES.set(CHANGES.get() + 1);
    }
}

/// Told when schemas change: a table may then have another name.
#[pg_guard]
unsafe extern "C-unwind" fn on_schema(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    CHANGES.set(CHANGES.get() + 1);
}
