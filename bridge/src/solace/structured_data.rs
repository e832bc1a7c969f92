//! Solace's structured data (SDT) as JSON.
//!
//! | structured data | JSON |
//! |---|---|
//! | null, and a type this library does not know | `null` |
//! | boolean | `true`, `false` |
//! | integers of 8 to 64 bits, signed or not | number, every digit kept |
//! | float, double | number; text `"NaN"`, `"Infinity"`, `"-Infinity"` for what JSON cannot say |
//! | string, wide character, destination (its name) | text |
//! | byte array, SMF message | text in base64 |
//! | map | object; of two fields of one name the last counts |
//! | stream | array |
//! | map or stream below [`MAX_DEPTH`] levels | `null` |
//!
//! Bytes that are not UTF-8 become U+FFFD.

use std::ffi::{CStr, c_char};
use std::mem::{MaybeUninit, size_of};
use std::{ptr, slice};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value};

use super::ffi::{Field, Handle, field_type, return_code};
use super::library::Library;

/// Levels of maps and streams that are read, the outermost included; a limit because reading recurses, and more
/// than real properties have.
pub(super) const MAX_DEPTH: usize = 16;

/// Tag of a string in encoded structured data, in the upper six bits of the first byte.
const STRING_TAG: u8 = 7 << 2;

/// Reads all fields of a map.
///
/// # Safety
/// `map` must be an open map of `library`, at its first field.
pub(super) unsafe fn read_map(library: Library, map: Handle) -> Map<String, Value> {
    // SAFETY: by contract.
    unsafe { Reader { library }.map(map, 1) }
}

struct Reader {
    library: Library,
}

impl Reader {
    /// # Safety
    /// `map` must be an open map.
    unsafe fn map(&self, map: Handle, depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        // SAFETY: by contract.
        unsafe {
            self.each_field(map, |name, field| {
                object.insert(name.unwrap_or_default(), self.value(field, depth));
            });
        }
        object
    }

    /// # Safety
    /// `stream` must be an open stream.
    unsafe fn stream(&self, stream: Handle, depth: usize) -> Vec<Value> {
        let mut array = Vec::new();
        // SAFETY: by contract.
        unsafe { self.each_field(stream, |_, field| array.push(self.value(field, depth))) };
        array
    }

    /// # Safety
    /// `container` must be an open map or stream.
    unsafe fn each_field(&self, container: Handle, mut f: impl FnMut(Option<String>, &Field)) {
        loop {
            let mut field = MaybeUninit::<Field>::zeroed();
            let mut name: *const c_char = ptr::null();
            // SAFETY: an open container, and places of the sizes that are passed.
            let code = unsafe {
                (self.library.api().container_get_next_field)(
                    container,
                    field.as_mut_ptr(),
                    size_of::<Field>(),
                    &raw mut name,
                )
            };
            if code != return_code::OK {
                return;
            }
            // SAFETY: all-zero bytes are a valid `Field`, and the call has filled it in; the name is null in
            // streams and a C text in maps.
            let (field, name) = unsafe { (field.assume_init_ref(), super::library::text(name)) };
            f(name, field);
        }
    }

    /// # Safety
    /// `field` must have been filled in by the library, and its container must be alive.
    unsafe fn value(&self, field: &Field, depth: usize) -> Value {
        let value = &field.value;
        // SAFETY: `kind` says which member of the union the library has set; what it points to lives as long as
        // the message.
        unsafe {
            match field.kind {
                field_type::BOOL => Value::Bool(value.boolean != 0),
                field_type::UINT8 => value.uint8.into(),
                field_type::INT8 => value.int8.into(),
                field_type::UINT16 => value.uint16.into(),
                field_type::INT16 => value.int16.into(),
                field_type::UINT32 => value.uint32.into(),
                field_type::INT32 => value.int32.into(),
                field_type::UINT64 => value.uint64.into(),
                field_type::INT64 => value.int64.into(),
                field_type::WCHAR => char::from_u32(value.wide_char).unwrap_or('\u{fffd}').to_string().into(),
                field_type::STRING => string(value.string),
                field_type::FLOAT => floating(value.float32.into()),
                field_type::DOUBLE => floating(value.float64),
                field_type::DESTINATION => string(value.destination.name),
                field_type::BYTEARRAY | field_type::SMF if !value.bytes.is_null() => {
                    BASE64.encode(slice::from_raw_parts(value.bytes, field.length as usize)).into()
                }
                field_type::MAP if depth < MAX_DEPTH => self.map(value.container, depth + 1).into(),
                field_type::STREAM if depth < MAX_DEPTH => self.stream(value.container, depth + 1).into(),
                _ => Value::Null,
            }
        }
    }
}

/// # Safety
/// `pointer` must be null or a C text.
unsafe fn string(pointer: *const c_char) -> Value {
    if pointer.is_null() {
        return Value::Null;
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into()
}

fn floating(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| not_a_json_number(number).into(), Value::Number)
}

fn not_a_json_number(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// The text inside an attachment that is exactly one encoded string: tag, big-endian length of the whole in one to
/// four bytes, text, NUL. Text messages have such an attachment.
///
/// Read from the bytes rather than through the API's C text, which would end at the first NUL inside.
pub(super) fn string_in_attachment(attachment: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = attachment.split_first()?;
    if first & 0b1111_1100 != STRING_TAG {
        return None;
    }
    let (length, text) = rest.split_at_checked(usize::from(first & 0b11) + 1)?;
    let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if length != attachment.len() {
        return None;
    }
    text.strip_suffix(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_text_message_is_found() {
        assert_eq!(string_in_attachment(b"\x1f\x00\x00\x00\x12hello direct\0"), Some(&b"hello direct"[..]));
        assert_eq!(string_in_attachment(b"\x1c\x05hi\0"), Some(&b"hi"[..]));
        assert_eq!(string_in_attachment(b"\x1c\x03\0"), Some(&b""[..]));
    }

    #[test]
    fn other_attachments_are_no_encoded_text() {
        for attachment in [&b""[..], b"{}", b"\x1c", b"\x1f\0\0", b"\x1c\x06hi\0", b"\x1c\x04hi", b"\x1c\x02"]
        {
            assert_eq!(string_in_attachment(attachment), None, "{attachment:?}");
        }
    }

    #[test]
    fn numbers_that_json_lacks_become_text() {
        assert_eq!(floating(1.5), Value::from(1.5));
        assert_eq!(floating(f64::NAN), "NaN");
        assert_eq!(floating(f64::INFINITY), "Infinity");
        assert_eq!(floating(f64::NEG_INFINITY), "-Infinity");
    }
}
