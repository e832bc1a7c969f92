//! Arrays as PostgreSQL stores them, built in one piece: the server's own functions would allocate each element.
//!
//! ```text
//! length │ dimensions │ offset of the elements, 0 without nulls │ element type │ count │ lower bound │ null bits │ elements
//! ```
//!
//! The elements are aligned to eight bytes as a whole and each is filled up to its type's alignment; one that is NULL takes
//! no place.

use std::borrow::Cow;

use pgrx::{IntoDatum, pg_sys};

use super::numeric_datum::Decimal;

/// Length, dimensions, offset and element type: all that an empty array has. The other two numbers follow.
pub(super) const HEADER_BYTES: usize = 16;
pub(super) const DIMENSION_BYTES: usize = 8;

/// A value that can be an element.
pub(crate) trait Element {
    /// The type of the element.
    const OID: pg_sys::Oid;
    /// What its first byte is aligned to; it is filled up to that.
    const ALIGNMENT: usize;

    /// Appends it as the server stores it.
    fn append_to(self, data: &mut Vec<u8>);
}

/// Implements [`Element`] for a type whose bytes the server stores as they are.
macro_rules! plain_element {
    ($type:ty, $oid:ident) => {
        impl Element for $type {
            const OID: pg_sys::Oid = pg_sys::$oid;
            const ALIGNMENT: usize = size_of::<Self>();

            fn append_to(self, data: &mut Vec<u8>) {
                data.extend_from_slice(&self.to_ne_bytes());
            }
        }
    };
}

plain_element!(i32, INT4OID);
plain_element!(i64, INT8OID);
plain_element!(f64, FLOAT8OID);

impl Element for bool {
    const OID: pg_sys::Oid = pg_sys::BOOLOID;
    const ALIGNMENT: usize = 1;

    fn append_to(self, data: &mut Vec<u8>) {
        data.push(self.into());
    }
}

/// Microseconds since 2000-01-01, as `timestamp` stores them.
pub(super) struct Timestamp(pub(super) i64);

impl Element for Timestamp {
    const OID: pg_sys::Oid = pg_sys::TIMESTAMPOID;
    const ALIGNMENT: usize = 8;

    fn append_to(self, data: &mut Vec<u8>) {
        self.0.append_to(data);
    }
}

/// Days since 2000-01-01, as `date` stores them.
pub(super) struct Date(pub(super) i32);

impl Element for Date {
    const OID: pg_sys::Oid = pg_sys::DATEOID;
    const ALIGNMENT: usize = 4;

    fn append_to(self, data: &mut Vec<u8>) {
        self.0.append_to(data);
    }
}

impl Element for Decimal<'_> {
    const OID: pg_sys::Oid = pg_sys::NUMERICOID;
    const ALIGNMENT: usize = 4;

    fn append_to(self, data: &mut Vec<u8>) {
        push_varlena(data, |data| self.push(data));
    }
}

/// Implements [`Element`] for a type that is stored as its bytes behind their length.
macro_rules! varlena_element {
    ($type:ty, $oid:ident) => {
        impl Element for $type {
            const OID: pg_sys::Oid = pg_sys::$oid;
            const ALIGNMENT: usize = 4;

            fn append_to(self, data: &mut Vec<u8>) {
                push_varlena(data, |data| data.extend_from_slice(self.as_ref()));
            }
        }
    };
}

varlena_element!(&str, TEXTOID);
varlena_element!(&String, TEXTOID);
varlena_element!(String, TEXTOID);
varlena_element!(&[u8], BYTEAOID);
varlena_element!(Vec<u8>, BYTEAOID);

impl Element for Cow<'_, str> {
    const OID: pg_sys::Oid = pg_sys::TEXTOID;
    const ALIGNMENT: usize = 4;

    fn append_to(self, data: &mut Vec<u8>) {
        self.as_ref().append_to(data);
    }
}

/// Appends a value of a type that has its length in front.
fn push_varlena(data: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    let start = data.len();
    data.extend_from_slice(&[0; 4]);
    push(data);
    let length = varlena_length(data.len() - start);
    data[start..start + 4].copy_from_slice(&length);
}

/// The length of a value as it stands in front of it, its own four bytes counted. One beyond the limit makes the array
/// too large for the server, which refuses it before it reads it.
fn varlena_length(bytes: usize) -> [u8; 4] {
    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
    if cfg!(target_endian = "big") { length.to_ne_bytes() } else { (length << 2).to_ne_bytes() }
}

/// An array in memory of the server.
pub(super) struct ArrayDatum(pg_sys::Datum);

impl IntoDatum for ArrayDatum {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::ANYARRAYOID
    }
}

impl ArrayDatum {
    /// The array of these values.
    pub(super) fn new<T: Element>(values: impl IntoIterator<Item = Option<T>>) -> Self {
        let values = values.into_iter();
        let mut data = Vec::with_capacity(values.size_hint().0 * 8);
        let (mut null_bits, mut count, mut has_nulls) = (Vec::<u8>::new(), 0_usize, false);
        for value in values {
            if count.is_multiple_of(8) {
                null_bits.push(0);
            }
            // A bit is set where there is a value.
            match value {
                Some(value) => {
                    value.append_to(&mut data);
                    data.resize(data.len().next_multiple_of(T::ALIGNMENT), 0);
                    null_bits[count / 8] |= 1 << (count % 8);
                }
                None => has_nulls = true,
            }
            count += 1;
        }
        Self::store(T::OID, count, if has_nulls { &null_bits[..] } else { &[] }, &data)
    }

    /// Puts it together.
    fn store(element: pg_sys::Oid, count: usize, null_bits: &[u8], data: &[u8]) -> Self {
        let dimension_bytes = if count == 0 { 0 } else { DIMENSION_BYTES };
        let start = (HEADER_BYTES + dimension_bytes + null_bits.len()).next_multiple_of(8);
        let mut head = Vec::with_capacity(start);
        head.extend_from_slice(&varlena_length(start + data.len()));
        // All of them fit: the server refuses an array of a gigabyte below.
        let mut push = |number: usize| head.extend_from_slice(&(number as u32).to_ne_bytes());
        push(usize::from(count > 0));
        push(if null_bits.is_empty() { 0 } else { start });
        push(element.to_u32() as usize);
        if count > 0 {
            push(count);
            push(1);
        }
        head.extend_from_slice(null_bits);
        head.resize(start, 0);
        // SAFETY: palloc gives that many bytes or raises an ERROR, and all of them are written.
        unsafe {
            let array = pg_sys::palloc(start + data.len()).cast::<u8>();
            array.copy_from_nonoverlapping(head.as_ptr(), start);
            array.add(start).copy_from_nonoverlapping(data.as_ptr(), data.len());
            Self(pg_sys::Datum::from(array))
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::arrays::parameter;
    use super::super::numeric_datum::Decimal;
    use super::Element;

    /// What the server says of an array: its text, and whether it has the bytes that the server itself would give it.
    fn as_server_sees<T: Element>(element_type: &'static str, values: Vec<Option<T>>) -> (String, bool) {
        let sql = format!(
            "select $1::text, array_send($1) = array_send($1::text::{element_type}[])
                    and pg_column_size($1) = pg_column_size($1::text::{element_type}[])"
        );
        match Spi::get_two_with_args(&sql, &[parameter(element_type, values).datum]) {
            Ok((Some(text), Some(is_same))) => (text, is_same),
            other => panic!("{other:?}"),
        }
    }

    #[pg_test]
    fn an_array_is_as_the_server_makes_it() {
        let seen = |text: &str| (text.to_owned(), true);
        assert_eq!(as_server_sees::<i64>("bigint", vec![]), seen("{}"));
        assert_eq!(as_server_sees("bigint", vec![Some(i64::MIN), Some(7)]), seen("{-9223372036854775808,7}"));
        assert_eq!(as_server_sees("integer", vec![Some(1), None, Some(-3)]), seen("{1,NULL,-3}"));
        assert_eq!(as_server_sees("boolean", vec![Some(true), None, Some(false)]), seen("{t,NULL,f}"));
        assert_eq!(as_server_sees("double precision", vec![Some(0.5)]), seen("{0.5}"));
        assert_eq!(as_server_sees::<i64>("bigint", vec![None]), seen("{NULL}"));
        let texts = vec![Some("a"), Some(""), None, Some("é\"{}, NULL"), Some("12345")];
        assert_eq!(as_server_sees("text", texts), seen(r#"{a,"",NULL,"é\"{}, NULL",12345}"#));
        let bytes: Vec<Option<&[u8]>> = vec![Some(b"\0\xff"), None, Some(b"")];
        assert_eq!(as_server_sees("bytea", bytes), seen(r#"{"\\x00ff",NULL,"\\x"}"#));
    }

    #[pg_test]
    fn every_place_of_the_null_bits_counts() {
        for count in [7_usize, 8, 9, 16, 17] {
            for null in 0..count {
                let value = |place: usize| (place != null).then_some(place as i64);
                let text = |place: usize| value(place).map_or("NULL".to_owned(), |value| value.to_string());
                let expected: Vec<String> = (0..count).map(text).collect();
                let seen = as_server_sees("bigint", (0..count).map(value).collect());
                assert_eq!(seen, (format!("{{{}}}", expected.join(",")), true));
            }
        }
    }

    #[pg_test]
    fn numbers_are_as_the_server_reads_them() {
        let digits = "12345678901234567890".repeat(2);
        let mut texts: Vec<String> = ["0", "-0", "0.00", "-0.50", "007.10", "1.", ".5", "-.0001", "0.00001"]
            .into_iter()
            .chain(["9999", "10000", "99990000", "100000000", "-12345.6789", "4882.32", "1000000.00000001"])
            .map(str::to_owned)
            .collect();
        texts.extend((0..=digits.len()).map(|point| format!("-{}.{}", &digits[..point], &digits[point..])));
        texts.extend((1..20).map(|zeros| format!("{}.{}1", "10".repeat(zeros / 4), "0".repeat(zeros))));
        for text in &texts {
            let sql = "select numeric_send($1[1]) = numeric_send($2::numeric)
                              and pg_column_size($1) = pg_column_size(array[$2::numeric])";
            let args = [parameter("numeric", vec![Decimal::parse(text)]).datum, text.as_str().into()];
            assert_eq!(Spi::get_one_with_args::<bool>(sql, &args), Ok(Some(true)), "{text}");
        }
        for other in ["", "-", ".", "+1", "1e5", "NaN", " 1", "--1", "1.2.3", &format!("{digits}1")] {
            assert!(Decimal::parse(other).is_none(), "{other}");
        }
    }
}
