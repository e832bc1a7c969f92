//! Rows for one statement, made of columns that are arrays: a table in memory that only the statement sees.
//!
//! `unnest()` of several arrays puts the elements of each into a table of its own, and these tables side by side.

use std::ffi::CStr;
use std::ptr::NonNull;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiResult};

use super::array_elements::ArrayElements;
use crate::named_rows::{self, Columns};
use crate::plan_cache;
use crate::spi_rows::Rows;

/// What a statement calls the rows.
pub(super) const NAME: &str = "cdc_elements";
const C_NAME: &CStr = c"cdc_elements";

/// Rows that the planner thinks there are, as it does of arrays: a plan is kept for batches of every size.
const PLANNED_ROWS: f64 = 10.0;

/// They are kept in memory whatever their size, for so are the arrays.
const MEMORY_KB: i32 = i32::MAX;

/// Runs a statement over the rows of these arrays, which are all of the same length, by the name [`NAME`]. It is prepared
/// once for each text, so the text has to tell the types of the elements.
///
/// # Errors
/// What SPI says of a statement that it does not take.
pub(super) fn update<'c>(
    client: &mut SpiClient<'c>,
    arrays: &[pg_sys::Datum],
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    let rows = ElementRows::of(arrays);
    let columns = Columns::Described(rows.columns);
    named_rows::with_name(C_NAME, rows.store, columns, PLANNED_ROWS, || plan_cache::update(client, sql, args))
}

struct ElementRows {
    store: NonNull<pg_sys::Tuplestorestate>,
    columns: pg_sys::TupleDesc,
}

impl ElementRows {
    fn of(arrays: &[pg_sys::Datum]) -> Self {
        // SAFETY: the arrays are those of `ArrayDatum`, and live until the statement is done.
        let mut columns: Vec<_> = arrays.iter().map(|array| unsafe { ArrayElements::of(*array) }).collect();
        let rows = Self::new(&columns);
        let count = columns.first().map_or(0, ArrayElements::len);
        let mut values = vec![pg_sys::Datum::from(0); columns.len()];
        let mut nulls = vec![false; columns.len()];
        for _ in 0..count {
            for (place, column) in columns.iter_mut().enumerate() {
                let element = column.next();
                nulls[place] = element.is_none();
                values[place] = element.unwrap_or(pg_sys::Datum::from(0));
            }
            // SAFETY: a value and a flag for each column of the description; the values are copied.
            unsafe {
                pg_sys::tuplestore_putvalues(
                    rows.store.as_ptr(),
                    rows.columns,
                    values.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
            }
        }
        rows
    }

    fn new(columns: &[ArrayElements]) -> Self {
        // SAFETY: made in the memory of the SPI connection, with the types that the arrays name.
        unsafe {
            let description = pg_sys::CreateTemplateTupleDesc(columns.len() as i32);
            for (number, column) in (1..).zip(columns) {
                // The statement gives them names of its own.
                pg_sys::TupleDescInitEntry(description, number, c"".as_ptr(), column.element_type(), -1, 0);
            }
            let store = pg_sys::tuplestore_begin_heap(false, false, MEMORY_KB);
            Self { store: NonNull::new_unchecked(store), columns: description }
        }
    }
}

impl Drop for ElementRows {
    fn drop(&mut self) {
        // SAFETY: made by this value; the statement that has read it is done.
        unsafe { pg_sys::tuplestore_end(self.store.as_ptr()) };
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::datum::Datum;
    use pgrx::prelude::*;

    use super::super::arrays::{ArrayParameter, parameter};
    use super::super::numeric_datum::Decimal;

    /// The rows as the server reads them.
    fn rows(arrays: Vec<ArrayParameter>) -> Option<String> {
        let names: Vec<String> = (0..arrays.len()).map(|place| format!("c{place}")).collect();
        let types: Vec<_> = arrays.iter().map(|array| array.datum.oid()).collect();
        let sql = format!(
            "select string_agg(e::text, ' ') from {} as e({}) /* {types:?} */",
            super::NAME,
            names.join(", ")
        );
        let arrays: Vec<_> =
            arrays.iter().filter_map(|array| array.datum.datum().map(Datum::sans_lifetime)).collect();
        let text = Spi::connect_mut(|client| super::update(client, &arrays, &sql, &[])?.one());
        text.unwrap_or_else(|error| panic!("{error}"))
    }

    #[pg_test]
    fn rows_have_an_element_of_each_array() {
        let rows = rows(vec![
            parameter("bigint", vec![Some(1), None, Some(i64::MIN)]),
            parameter("text", vec![Some("a"), Some("long enough to need some filling"), None]),
            parameter("boolean", vec![None, Some(true), Some(false)]),
            parameter("integer", vec![Some(7), Some(-7), None]),
            parameter("double precision", vec![Some(0.5), None, Some(-1e300)]),
            parameter("numeric", vec![Decimal::parse("12.50"), None, Decimal::parse("-0.0001")]),
            parameter::<&[u8]>("bytea", vec![Some(b"\x01"), Some(b""), None]),
        ]);
        let expected = "(1,a,,7,0.5,12.50,\"\\\\x01\") \
            (,\"long enough to need some filling\",t,-7,,,\"\\\\x\") \
            (-9223372036854775808,,f,,-1e+300,-0.0001,)";
        assert_eq!(rows.as_deref(), Some(expected));
    }

    #[pg_test]
    fn no_elements_are_no_rows() {
        assert_eq!(rows(vec![parameter::<i64>("bigint", vec![]), parameter::<&str>("text", vec![])]), None);
    }

    #[pg_test]
    fn nulls_may_stand_at_every_place() {
        for count in [7, 8, 9, 17_i64] {
            for null in 0..count {
                let value = |place: i64| (place != null).then_some(place);
                let text = |place: i64| value(place).map_or("()".to_owned(), |value| format!("({value})"));
                let expected: Vec<String> = (0..count).map(text).collect();
                let rows = rows(vec![parameter("bigint", (0..count).map(value).collect())]);
                assert_eq!(rows, Some(expected.join(" ")));
            }
        }
    }
}
