//! The rows that a statement has given, read where SPI keeps them.

use std::marker::PhantomData;

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

    /// The bytes of a `bytea` column, borrowed from the row where they lie in it as they are.
    ///
    /// # Errors
    /// If there is no such column.
    pub(crate) fn bytes(self, column: usize) -> SpiResult<Option<&'r [u8]>> {
        let (datum, is_null) = self.datum(column)?;
        // SAFETY: a `bytea` of the tuple, which lives as long as the rows; if it has to be fetched from elsewhere, the copy
        // lives in the memory of the SPI connection.
        Ok(unsafe { <&[u8]>::from_datum(datum, is_null) })
    }

    /// The text of a column, borrowed in the same way.
    ///
    /// # Errors
    /// If there is no such column.
    pub(crate) fn text(self, column: usize) -> SpiResult<Option<&'r str>> {
        let (datum, is_null) = self.datum(column)?;
        // SAFETY: as in `bytes`; what is no text in UTF-8 panics, which becomes an ERROR.
        Ok(unsafe { <&str>::from_datum(datum, is_null) })
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
