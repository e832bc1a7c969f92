//! Planning as if all tables were large.
//!
//! A prepared statement keeps its plan until PostgreSQL analyzes one of its tables anew. Planned while a table was empty,
//! or known to be, it may read the whole of it for each batch, and compare every row with every element; as the table
//! grows, that becomes thousands of times slower than looking rows up. Planned for large tables, a statement looks rows
//! up, which costs hardly more in a small one.

use std::cell::Cell;

use pgrx::pg_sys;

/// Rows that a table has at least, to the planner.
const ROWS: f64 = 1e7;
/// Pages of as many rows of a common size.
const PAGES: pg_sys::BlockNumber = 200_000;
/// Pages of an index of as many rows with a key of eight bytes.
const INDEX_PAGES: pg_sys::BlockNumber = 30_000;

/// The hook that was there before this one; written once while the library is loaded.
static mut PREVIOUS: pg_sys::get_relation_info_hook_type = None;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Puts the hook before the planner's look at a table; called once when the library is loaded.
pub(crate) fn install_hook() {
    // SAFETY: the library is loaded by the backend's only thread.
    unsafe {
        PREVIOUS = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(look_at_table);
    }
}

/// Does `work`, in which statements are planned as if all tables were large. An ERROR ends that, too.
pub(crate) fn planning_for_large_tables<R>(work: impl FnOnce() -> R) -> R {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            IS_ON.set(false);
        }
    }
    IS_ON.set(true);
    let _end = End;
    work()
}

/// Nothing in it is to be dropped, so that an ERROR of the hook before it may pass through.
unsafe extern "C-unwind" fn look_at_table(
    root: *mut pg_sys::PlannerInfo,
    table: pg_sys::Oid,
    has_children: bool,
    relation: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the hook that was there is called as PostgreSQL calls this one; `relation` has been filled in for the
    // planner, which owns it and all of its indexes.
    unsafe {
        if let Some(previous) = PREVIOUS {
            previous(root, table, has_children, relation);
        }
        if !IS_ON.get() {
            return;
        }
        (*relation).tuples = (*relation).tuples.max(ROWS);
        (*relation).pages = (*relation).pages.max(PAGES);
        let indexes = (*relation).indexlist;
        let count = if indexes.is_null() { 0 } else { (*indexes).length };
        for place in 0..count as usize {
            let index = (*(*indexes).elements.add(place)).ptr_value.cast::<pg_sys::IndexOptInfo>();
            (*index).tuples = (*index).tuples.max(ROWS);
            (*index).pages = (*index).pages.max(INDEX_PAGES);
        }
    }
}
