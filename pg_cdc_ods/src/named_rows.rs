//! Rows in memory that statements of an SPI connection read by a name, as triggers' functions read transition tables.

use std::ffi::CStr;
use std::ptr::NonNull;

use pgrx::{PgBox, pg_sys};

/// What columns rows have.
#[derive(Clone, Copy)]
pub(crate) enum Columns {
    /// Those of a table.
    Of(pg_sys::Oid),
    /// Those that a description tells, which lives as long as the rows.
    Described(pg_sys::TupleDesc),
}

/// Does `work` while statements of the SPI connection that is open see rows under a name, and plan for this many.
pub(crate) fn with_name<R>(
    name: &'static CStr,
    rows: NonNull<pg_sys::Tuplestorestate>,
    columns: Columns,
    planned: f64,
    work: impl FnOnce() -> R,
) -> R {
    // SAFETY: allocated in the memory of the SPI connection, which also ends what is registered there if `work` raises an
    // ERROR.
    unsafe {
        let named = PgBox::<pg_sys::EphemeralNamedRelationData>::alloc0().into_pg();
        (*named).md.name = name.as_ptr().cast_mut();
        match columns {
            Columns::Of(table) => (*named).md.reliddesc = table,
            Columns::Described(description) => (*named).md.tupdesc = description,
        }
        (*named).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
        (*named).md.enrtuples = planned;
        (*named).reldata = rows.as_ptr().cast();
        pg_sys::SPI_register_relation(named);
    }
    let result = work();
    // SAFETY: registered above in the same SPI connection.
    unsafe { pg_sys::SPI_unregister_relation(name.as_ptr()) };
    result
}
