//! Reads the elements of an array where they lie; see `array_datum.rs` for how they do.

use pgrx::pg_sys;

use super::array_datum::{DIMENSION_BYTES, HEADER_BYTES};

/// The elements of an array, one after the other.
pub(super) struct ArrayElements {
    element: Element,
    /// How many there are.
    len: usize,
    /// The place of the next one.
    place: usize,
    /// A bit for each element, set where there is a value; null if all are values.
    null_bits: *const u8,
    /// The next value.
    at: *const u8,
}

/// How the server stores an element.
#[derive(Clone, Copy)]
struct Element {
    oid: pg_sys::Oid,
    by_value: bool,
    /// Bytes; -1 for one that has its length in front.
    length: i16,
    alignment: usize,
}

impl ArrayElements {
    /// # Safety
    /// The array is one of `ArrayDatum`, and lives as long as this and the elements that it gives.
    pub(super) unsafe fn of(array: pg_sys::Datum) -> Self {
        let start = array.cast_mut_ptr::<u8>().cast_const();
        // SAFETY: the array begins with this header, and has the rest if it has a dimension.
        unsafe {
            let number = |index: usize| start.cast::<u32>().add(index).read();
            let (dimensions, offset) = (number(1), number(2) as usize);
            let len = if dimensions == 0 { 0 } else { number(4) as usize };
            let null_bits = start.add(HEADER_BYTES + DIMENSION_BYTES);
            let at = if offset == 0 { null_bits } else { start.add(offset) };
            let null_bits = if offset == 0 { std::ptr::null() } else { null_bits };
            Self { element: Element::of(pg_sys::Oid::from(number(3))), len, place: 0, null_bits, at }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn element_type(&self) -> pg_sys::Oid {
        self.element.oid
    }

    /// The next element; `None` if it is NULL, or if there is none.
    pub(super) fn next(&mut self) -> Option<pg_sys::Datum> {
        let place = self.place;
        if place == self.len {
            return None;
        }
        self.place += 1;
        // SAFETY: there is a bit for each element, and a value where it is set.
        unsafe {
            if !self.null_bits.is_null() && self.null_bits.add(place / 8).read() & (1 << (place % 8)) == 0 {
                return None;
            }
            let (value, bytes) = self.element.read(self.at);
            self.at = self.at.add(bytes.next_multiple_of(self.element.alignment));
            Some(value)
        }
    }
}

impl Element {
    fn of(oid: pg_sys::Oid) -> Self {
        let (mut length, mut by_value, mut alignment) = (0, false, 0);
        // SAFETY: looks up a built-in type.
        unsafe { pg_sys::get_typlenbyvalalign(oid, &mut length, &mut by_value, &mut alignment) };
        let alignment = match alignment as u8 {
            b'd' => 8,
            b'i' => 4,
            b's' => 2,
            _ => 1,
        };
        Self { oid, by_value, length, alignment }
    }

    /// The value at an address, and its bytes.
    ///
    /// # Safety
    /// There is a value of this type.
    unsafe fn read(self, at: *const u8) -> (pg_sys::Datum, usize) {
        // SAFETY: by the contract; it is aligned as its type needs.
        unsafe {
            match (self.by_value, self.length) {
                (true, 8) => (pg_sys::Datum::from(at.cast::<i64>().read()), 8),
                (true, 4) => (pg_sys::Datum::from(at.cast::<i32>().read()), 4),
                (true, _) => (pg_sys::Datum::from(at.read()), 1),
                (false, -1) => (pg_sys::Datum::from(at), pgrx::varlena::varsize_any(at.cast())),
                (false, length) => (pg_sys::Datum::from(at), usize::from(length.unsigned_abs())),
            }
        }
    }
}
