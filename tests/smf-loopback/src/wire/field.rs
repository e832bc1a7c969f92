//! Reading single values out of byte slices, with checked access.

use super::WireError;

/// Reads the value as one byte.
pub(super) fn u8_of(value: &[u8], what: &'static str) -> Result<u8, WireError> {
    match value {
        [byte] => Ok(*byte),
        _ => Err(WireError::Length(what)),
    }
}

/// Reads the value as an unsigned 32 bit number.
pub(super) fn u32_of(value: &[u8], what: &'static str) -> Result<u32, WireError> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| WireError::Length(what))
}

/// Reads the value as an unsigned 64 bit number.
pub(super) fn u64_of(value: &[u8], what: &'static str) -> Result<u64, WireError> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| WireError::Length(what))
}

/// Reads the value as text, without the NUL that ends it on the wire.
pub(super) fn text_of<'a>(value: &'a [u8], what: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).map_err(|_| WireError::Text(what))
}

/// Reads the unsigned 32 bit number that stands at `offset`, as a length or an index.
pub(super) fn length_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<usize, WireError> {
    let field = bytes.get(offset..).and_then(|rest| rest.get(..4)).ok_or(WireError::Truncated(what))?;
    usize::try_from(u32_of(field, what)?).map_err(|_| WireError::Length(what))
}

/// Finds where the value of a length-prefixed parameter lies: one byte of type, one byte of length
/// that counts both, or a zero and a 32 bit length that counts all six. The range is inside `bytes`.
pub(super) fn prefixed_value(bytes: &[u8], what: &'static str) -> Result<std::ops::Range<usize>, WireError> {
    let short = *bytes.get(1).ok_or(WireError::Truncated(what))?;
    let (start, end) = match short {
        0 => (6, length_at(bytes, 2, what)?),
        _ => (2, usize::from(short)),
    };
    if end < start {
        return Err(WireError::Length(what));
    }
    if end > bytes.len() {
        return Err(WireError::Truncated(what));
    }
    Ok(start..end)
}

/// Writes type byte and length as [`prefixed_value`] reads them, and the value.
pub(super) fn write_prefixed(out: &mut Vec<u8>, type_byte: u8, value: &[u8]) {
    out.push(type_byte);
    match u8::try_from(value.len() + 2) {
        Ok(short) => out.push(short),
        Err(_) => {
            out.push(0);
            out.extend_from_slice(&length_field(value.len() + 6));
        }
    }
    out.extend_from_slice(value);
}

/// A length as it stands on the wire. Frames are bounded far below 4 GiB by everyone who makes them.
pub(super) fn length_field(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
