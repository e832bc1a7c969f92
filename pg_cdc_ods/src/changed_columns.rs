//! Which rows has an UPDATE changed in some columns? They are compared where they are, without SQL.
//!
//! PostgreSQL keeps the rows before and after a change in the same order. If it did not, it would do no harm to those who
//! only want to know what is different on the whole: a row before and one after that are alike cancel out.

use std::ptr::NonNull;
use std::slice;

use pgrx::pg_sys;

use crate::changed_rows::{ChangedRows, Store};

/// Of rows that differ in more than this share, all are taken as they are: to copy the others costs more than it saves.
const MOST: (usize, usize) = (3, 4);

/// The rows before and after an UPDATE, side by side.
pub(super) struct Pairs {
    old: Reader,
    new: Reader,
    columns: Vec<Column>,
    /// How many columns have to be taken from a row to have those that are compared.
    width: i32,
}

/// A column that is compared.
#[derive(Clone, Copy)]
struct Column {
    place: usize,
    by_value: bool,
    /// Bytes; -1 for one that tells its length itself.
    length: i16,
}

impl Pairs {
    /// `None` if there are no pairs, or no columns to compare.
    pub(super) fn of(rows: &ChangedRows<'_>, numbers: &[i16]) -> Option<Self> {
        let (old, new) = (rows.old?, rows.new?);
        if rows.old_len() != rows.new_len() || numbers.is_empty() {
            return None;
        }
        // SAFETY: the description of the table's columns, which is open while its trigger runs.
        let attributes = unsafe { (*rows.columns).attrs.as_slice((*rows.columns).natts as usize) };
        let columns = numbers.iter().map(|number| {
            let place = usize::try_from(number - 1).ok()?;
            let attribute = attributes.get(place)?;
            Some(Column { place, by_value: attribute.attbyval, length: attribute.attlen })
        });
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let width = i32::from(numbers.iter().copied().max()?);
        let [old, new] = [old, new].map(|store| Reader::of(store, rows.columns));
        Some(Self { old, new, columns, width })
    }

    /// Whether there is a pair that differs.
    pub(super) fn is_any_different(&mut self) -> bool {
        let mut differs = false;
        while !differs && self.next() {
            differs = self.differs();
        }
        differs
    }

    /// The rows before and after the change that differ; `None` if these are most: then it is not worth it to copy them.
    pub(super) fn into_different(mut self) -> Option<(OwnStore, OwnStore)> {
        let mut differ = Vec::new();
        while self.next() {
            differ.push(self.differs());
        }
        let different = differ.iter().filter(|differs| **differs).count();
        if different * MOST.1 > differ.len() * MOST.0 {
            return None;
        }
        self.old.rewind();
        self.new.rewind();
        let (old, new) = (OwnStore::new(), OwnStore::new());
        let mut left = different;
        for differs in differ {
            if left == 0 {
                break;
            }
            self.next();
            if differs {
                old.put(&self.old);
                new.put(&self.new);
                left -= 1;
            }
        }
        Some((old, new))
    }

    /// Goes to the next pair; false if there is none.
    fn next(&mut self) -> bool {
        self.old.next() && self.new.next()
    }

    fn differs(&self) -> bool {
        let (old, new) = (self.old.values(self.width), self.new.values(self.width));
        !self.columns.iter().all(|column| column.is_same(old, new))
    }
}

impl Column {
    /// Whether two rows have the same bytes here. One that is compressed in one of them alone counts as different.
    fn is_same(self, old: Values<'_>, new: Values<'_>) -> bool {
        let place = self.place;
        if old.nulls[place] || new.nulls[place] {
            return old.nulls[place] == new.nulls[place];
        }
        let (old, new) = (old.values[place], new.values[place]);
        if self.by_value {
            return old == new;
        }
        // SAFETY: values of this column, which are not null, in rows that are in memory.
        unsafe { self.bytes(old).is_some_and(|bytes| Some(bytes) == self.bytes(new)) }
    }

    /// `None` for a length that is not told.
    unsafe fn bytes<'v>(self, value: pg_sys::Datum) -> Option<&'v [u8]> {
        let start = value.cast_mut_ptr::<u8>().cast_const();
        let length = match self.length {
            // SAFETY: by the contract of the caller a value that begins with its length.
            -1 => unsafe { pgrx::varlena::varsize_any(start.cast()) },
            length => usize::try_from(length).ok()?,
        };
        // SAFETY: the value has this many bytes.
        Some(unsafe { slice::from_raw_parts(start, length) })
    }
}

/// The columns of a row.
#[derive(Clone, Copy)]
struct Values<'s> {
    values: &'s [pg_sys::Datum],
    nulls: &'s [bool],
}

/// Reads a transition table from its beginning, whoever else reads it.
struct Reader {
    store: Store,
    position: i32,
    slot: NonNull<pg_sys::TupleTableSlot>,
}

impl Reader {
    fn of(store: Store, columns: pg_sys::TupleDesc) -> Self {
        // SAFETY: a transition table that can be read again from its beginning, as all of them can.
        unsafe {
            let position = pg_sys::tuplestore_alloc_read_pointer(
                store.0.as_ptr(),
                pg_sys::EXEC_FLAG_REWIND.cast_signed(),
            );
            let slot = pg_sys::MakeSingleTupleTableSlot(columns, &raw const pg_sys::TTSOpsMinimalTuple);
            let mut reader = Self { store, position, slot: NonNull::new_unchecked(slot) };
            reader.rewind();
            reader
        }
    }

    fn rewind(&mut self) {
        // SAFETY: the position was made for this transition table.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.store.0.as_ptr(), self.position);
            pg_sys::tuplestore_rescan(self.store.0.as_ptr());
        }
    }

    /// Goes to the next row; false if there is none.
    fn next(&mut self) -> bool {
        // SAFETY: the position and the slot were made for this transition table.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.store.0.as_ptr(), self.position);
            pg_sys::tuplestore_gettupleslot(self.store.0.as_ptr(), true, false, self.slot.as_ptr())
        }
    }

    /// The first columns of the row.
    fn values(&self, width: i32) -> Values<'_> {
        // SAFETY: the slot has a row, and a place for each column of the table.
        unsafe {
            let slot = self.slot.as_ptr();
            if i32::from((*slot).tts_nvalid) < width {
                pg_sys::slot_getsomeattrs_int(slot, width);
            }
            let width = width as usize;
            Values {
                values: slice::from_raw_parts((*slot).tts_values, width),
                nulls: slice::from_raw_parts((*slot).tts_isnull, width),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: made by this value, and used by nobody else.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot.as_ptr()) };
    }
}

/// Rows that are copies.
pub(super) struct OwnStore(Store);

impl OwnStore {
    fn new() -> Self {
        // SAFETY: makes an empty one in the memory of the SPI connection.
        unsafe {
            let rows = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
            Self(Store(NonNull::new_unchecked(rows)))
        }
    }

    pub(super) fn store(&self) -> Store {
        self.0
    }

    fn put(&self, reader: &Reader) {
        // SAFETY: the slot has a row of the same table.
        unsafe { pg_sys::tuplestore_puttupleslot(self.0.0.as_ptr(), reader.slot.as_ptr()) };
    }
}

impl Drop for OwnStore {
    fn drop(&mut self) {
        // SAFETY: made by this value; nobody reads it any more.
        unsafe { pg_sys::tuplestore_end(self.0.0.as_ptr()) };
    }
}
