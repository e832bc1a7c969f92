//! The rows that a statement has given, read where SPI keeps them.

use std::marker::PhantomData;

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{Spi, SpiError, SpiErrorCodes, SpiResult};

/// What a statement has given. Its memory is freed with it.
pub(crate) struct Rows<'c> {
    /// Null if the statement gives no rows.
    table: *mut pg_sys::SPITupleTable,
    /// Rows given, else rows written.
    count: usize,
    connection: PhantomData<&'c ()>,
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'r> {
    tuple: pg_sys::HeapTuple,
    columns: pg_sys::TupleDesc,
    rows: PhantomData<&'r ()>,
}

/// The values of one row, by column counted from 1. Readers trust that the column has the type they are for.
pub(crate) struct Values<'r, const N: usize> {
    datums: [pg_sys::Datum; N],
    nulls: [bool; N],
    rows: PhantomData<&'r ()>,
}

impl Rows<'_> {
    /// What the statement just run by SPI has given.
    ///
    /// # Errors
    /// If `status` is one of SPI's errors.
    pub(crate) fn of_last_statement(status: i32) -> SpiResult<Self> {
        Spi::check_status(status)?;
        // SAFETY: SPI's globals tell of the last statement; taking the table away from there leaves it to this value.
        let (table, count) = unsafe {
            let table = pg_sys::SPI_tuptable;
            pg_sys::SPI_tuptable = std::ptr::null_mut();
            (table, if table.is_null() { pg_sys::SPI_processed } else { (*table).numvals })
        };
        Ok(Self { table, count: count as usize, connection: PhantomData })
    }

    /// The number of rows given, or written if the statement gives none.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The rows in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let given = if self.table.is_null() { 0 } else { self.count };
        (0..given).map(|place| {
            // SAFETY: `place` is below the number of tuples of the table, which lives as long as this value.
            let (tuple, columns) = unsafe { (*(*self.table).vals.add(place), (*self.table).tupdesc) };
            Row { tuple, columns, rows: PhantomData }
        })
    }

    /// The bytes that the rows take, without what lies elsewhere because it is large.
    pub(crate) fn bytes(&self) -> usize {
        // SAFETY: a tuple of the table.
        self.iter().map(|row| unsafe { (*row.tuple).t_len as usize }).sum()
    }

    /// The first column of the first row; `None` if it is NULL or there is no row.
    ///
    /// # Errors
    /// If the column has another type.
    pub(crate) fn one<T: FromDatum + IntoDatum>(&self) -> SpiResult<Option<T>> {
        self.iter().next().map_or(Ok(None), |row| row.get(1))
    }

    /// The first two columns of the first row, in the same way.
    ///
    /// # Errors
    /// If one of them has another type.
    pub(crate) fn two<A: FromDatum + IntoDatum, B: FromDatum + IntoDatum>(
        &self,
    ) -> SpiResult<(Option<A>, Option<B>)> {
        self.iter().next().map_or(Ok((None, None)), |row| Ok((row.get(1)?, row.get(2)?)))
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if !self.table.is_null() {
            // SAFETY: a table of the connection that this value was made in, which is still open.
            unsafe { pg_sys::SPI_freetuptable(self.table) };
        }
    }
}

impl<'r> Row<'r> {
    /// A copy of the value of a column, counted from 1; `None` if it is NULL.
    ///
    /// # Errors
    /// If there is no such column, or it has another type.
    pub(crate) fn get<T: FromDatum + IntoDatum>(self, column: usize) -> SpiResult<Option<T>> {
        let (datum, is_null) = self.datum(column)?;
        // SAFETY: the datum is of the tuple, and of the type that its description tells.
        let value = unsafe {
            let type_oid = pg_sys::SPI_gettypeid(self.columns, column as i32);
            T::try_from_datum(datum, is_null, type_oid)
        };
        Ok(value?)
    }

    /// The values of all columns, found in one pass over the row.
    ///
    /// # Panics
    /// If the row has another number of columns.
    pub(crate) fn values<const N: usize>(self) -> Values<'r, N> {
        let mut values = Values { datums: [pg_sys::Datum::from(0); N], nulls: [true; N], rows: PhantomData };
        // SAFETY: tuple and description are those of the table; there is room for each column.
        unsafe {
            assert_eq!((*self.columns).natts as usize, N, "columns of a statement");
            let (datums, nulls) = (values.datums.as_mut_ptr(), values.nulls.as_mut_ptr());
            pg_sys::heap_deform_tuple(self.tuple, self.columns, datums, nulls);
        }
        values
    }

    fn datum(self, column: usize) -> SpiResult<(pg_sys::Datum, bool)> {
        let mut is_null = false;
        // SAFETY: tuple and description are those of the table; a column that there is not is told by SPI_result.
        let (datum, result) = unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.columns, column as i32, &mut is_null);
            (datum, pg_sys::SPI_result)
        };
        if result == pg_sys::SPI_ERROR_NOATTRIBUTE {
            return Err(SpiError::SpiError(SpiErrorCodes::NoAttribute));
        }
        Ok((datum, is_null))
    }
}

impl<'r, const N: usize> Values<'r, N> {
    /// The value of a `bigint`, `timestamptz` or `xid8` column.
    pub(crate) fn word(&self, column: usize) -> Option<i64> {
        self.datum(column).map(|datum| datum.value() as i64)
    }

    /// The bytes of a `bytea` column, borrowed from the row where they lie in it as they are.
    pub(crate) fn bytes(&self, column: usize) -> Option<&'r [u8]> {
        // SAFETY: a `bytea` of the tuple, which lives as long as the rows; if it has to be fetched from elsewhere, the copy
        // lives in the memory of the SPI connection.
        self.datum(column).and_then(|datum| unsafe { <&[u8]>::from_datum(datum, false) })
    }

    /// Appends the bytes of a `bytea` column; none if it is NULL. What has to be fetched from elsewhere does not stay in the
    /// memory of the SPI connection.
    pub(crate) fn copy_bytes(&self, column: usize, bytes: &mut Vec<u8>) {
        let Some(datum) = self.datum(column) else { return };
        // SAFETY: a `bytea` of the tuple, which lives as long as the rows; another pointer is to a copy that nobody else has.
        unsafe {
            let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
            let fetched = pg_sys::pg_detoast_datum_packed(stored);
            bytes.extend_from_slice(pgrx::varlena_to_byte_slice(fetched));
            if fetched != stored {
                pg_sys::pfree(fetched.cast());
            }
        }
    }

    /// The text of a column, borrowed as [`Values::bytes`].
    pub(crate) fn text(&self, column: usize) -> Option<&'r str> {
        // SAFETY: as in `bytes`; what is no text in UTF-8 panics, which becomes an ERROR.
        self.datum(column).and_then(|datum| unsafe { <&str>::from_datum(datum, false) })
    }

    /// The document of a `jsonb` column.
    pub(crate) fn json(&self, column: usize) -> Option<JsonB> {
        // SAFETY: as in `bytes`.
        self.datum(column).and_then(|datum| unsafe { JsonB::from_datum(datum, false) })
    }

    /// The document of a `jsonb` column as a parameter for another statement: it is passed on as it lies in the row.
    pub(crate) fn json_parameter(&self, column: usize) -> DatumWithOid<'r> {
        let datum = self.datum(column);
        // SAFETY: a `jsonb` of the tuple, which lives as long as the rows; one that lies elsewhere is fetched by who opens it.
        unsafe { DatumWithOid::new(datum, pg_sys::JSONBOID) }
    }

    fn datum(&self, column: usize) -> Option<pg_sys::Datum> {
        (!self.nulls[column - 1]).then_some(self.datums[column - 1])
    }
}
