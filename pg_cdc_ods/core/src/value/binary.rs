//! Bytes in text: base64 in both alphabets, hexadecimal digits, and bits.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};

/// Bytes from base64, in the standard alphabet or the one that is safe in URLs, with or without padding.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let is_url_safe = memchr::memchr2(b'-', b'_', text.as_bytes()).is_some();
    let engine = if is_url_safe { &URL_SAFE_PAD_INDIFFERENT } else { &STANDARD_PAD_INDIFFERENT };
    engine.decode(text).ok()
}

/// Bytes from hexadecimal digits, with or without `\x` before them.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Bytes as PostgreSQL reads them: `\x` and two digits for each.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    push_hex(&mut text, bytes);
    text
}

/// Appends two digits for each byte.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

/// Bits, the highest first, from bytes of which the first holds the lowest. `length` says how many there are: leading
/// zeros are not sent. Set bits beyond it are kept.
pub(super) fn to_bits(bytes: &[u8], length: Option<u32>) -> String {
    /// PostgreSQL's connector says 2,147,483,647 for `bit varying` without a length: that is none.
    const LENGTH_MAX: u32 = 65_536;
    let is_set = |place: usize| bytes.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
    let highest = (0..bytes.len() * 8).rev().find(|place| is_set(*place)).map_or(0, |place| place + 1);
    let length = length.filter(|length| *length <= LENGTH_MAX).map_or(bytes.len() * 8, |bits| bits as usize);
    (0..length.max(highest)).rev().map(|place| if is_set(place) { '1' } else { '0' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_alphabets_are_read() {
        assert_eq!(from_base64("+/8="), Some(vec![0xfb, 0xff]));
        assert_eq!(from_base64("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(from_base64(""), Some(vec![]));
        for wrong in ["+_8=", "a", "====", "é"] {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        assert_eq!(from_hex("\\xCAfe"), Some(vec![0xca, 0xfe]));
        assert_eq!(from_hex("caf"), None);
        assert_eq!(from_hex("zz"), None);
    }

    #[test]
    fn bits_are_filled_up_to_their_length() {
        assert_eq!(to_bits(&[0b0001_0110], Some(5)), "10110");
        assert_eq!(to_bits(&[1], Some(10)), "0000000001");
        assert_eq!(to_bits(&[0, 1], None), "0000000100000000");
        assert_eq!(to_bits(&[0xff], Some(4)), "11111111");
        assert_eq!(to_bits(&[3], Some(u32::MAX)), "00000011");
        assert_eq!(to_bits(&[], None), "");
    }

    proptest! {
        #[test]
        fn hex_reads_back(bytes: Vec<u8>) {
            prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        }
    }
}
