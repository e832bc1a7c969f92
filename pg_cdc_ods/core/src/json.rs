//! Small tools over raw JSON text: columns stay text until the type of their target is known.

use std::borrow::Cow;

use crate::ValueError;

/// What Debezium sends in place of a value that the change did not touch and that it does not have.
const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// The same in a binary column: base64 in either alphabet, and hexadecimal digits.
const UNAVAILABLE_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
const UNAVAILABLE_HEX: &str = "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565";

/// How deep a JSON value may be nested: more than any document that people write, and far less than the server's
/// stack can take.
pub(crate) const DEPTH_MAX: usize = 100;

/// Whether raw JSON text is Debezium's placeholder for "unchanged, not sent": the text itself, an array with it as its
/// only element, or (for `hstore`) an object with it as its first name.
#[inline]
pub fn is_unavailable(raw: &str) -> bool {
    // Nearly all values are shorter than the shortest form of it.
    raw.len() >= UNAVAILABLE.len() + "\"\"".len() && is_placeholder(raw)
}

fn is_placeholder(raw: &str) -> bool {
    let inner = match raw.as_bytes().first() {
        Some(b'"') => raw,
        Some(b'[') => raw[1..].strip_suffix(']').unwrap_or_default().trim(),
        Some(b'{') => {
            let object = raw[1..].strip_suffix('}').unwrap_or_default();
            object.split_once(':').map_or("", |(name, _)| name.trim())
        }
        _ => return false,
    };
    let text = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.is_some_and(|text| [UNAVAILABLE, UNAVAILABLE_BASE64, UNAVAILABLE_HEX].contains(&text))
}

/// The text of a raw JSON string, borrowed where it has no escapes; `None` if it is not a valid string.
///
/// Lone surrogates make a string invalid: neither `text` nor `jsonb` can hold them.
pub(crate) fn string<'a>(raw: &'a str) -> Option<Cow<'a, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(inner).or_else(|| serde_json::from_str(raw).ok()).map(Cow::Owned)
}

/// The characters of a string whose escapes are all of the short kind, as in documents; `None` for any other.
fn unescaped(mut inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    loop {
        let (plain, rest) = inner.split_at(plain_length(inner.as_bytes()));
        text.push_str(plain);
        let mut rest = rest.chars();
        match (rest.next(), rest.next()) {
            (None, _) => return Some(text),
            (Some('\\'), Some(escaped)) => text.push(match escaped {
                '"' | '\\' | '/' => escaped,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            }),
            _ => return None,
        }
        inner = rest.as_str();
    }
}

/// How many bytes stand before the first that means something in a string: a quote, a backslash or a control character.
#[inline(always)]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut place = 0;
    while let Some(some) = bytes.get(place..).and_then(<[u8]>::first_chunk) {
        let plain = plain_bytes(*some);
        place += plain;
        if plain < BYTES_AT_ONCE {
            return place;
        }
    }
    place + bytes[place..].iter().take_while(|byte| !is_special(**byte)).count()
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
}

/// How many bytes of a string are looked at together.
const BYTES_AT_ONCE: usize = 8;

/// The number of bytes before the first that is special.
///
/// Each byte is tried at once in arithmetic of 64 bits: a byte less a limit borrows exactly if it is smaller, and the borrow
/// shows in its highest bit, unless that was set before. It may show in the bytes above as well, so the lowest counts.
#[inline(always)]
fn plain_bytes(bytes: [u8; BYTES_AT_ONCE]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGHEST_BITS: u64 = EACH << 7;
    let bytes = u64::from_le_bytes(bytes);
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit)) & !bytes;
    let equal = |byte: u8| below(bytes ^ (EACH * u64::from(byte)), 1);
    let special = (below(bytes, b' ') | equal(b'"') | equal(b'\\')) & HIGHEST_BITS;
    special.trailing_zeros() as usize / 8
}

/// Whether a text is JSON.
pub(crate) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether `jsonb` takes this text, which is known to be JSON.
///
/// # Errors
/// `SCHEMA_MISMATCH` if a string in it has a zero character or a lone surrogate, `TOO_LARGE` if it is nested deeper
/// than [`DEPTH_MAX`].
pub(crate) fn check(raw: &str) -> Result<(), ValueError> {
    if depth(raw) > DEPTH_MAX {
        return Err(ValueError::too_large("JSON nested at most 100 deep", raw));
    }
    if fits_jsonb(raw) {
        Ok(())
    } else {
        Err(ValueError::new("JSON without zero characters or lone surrogates", raw))
    }
}

/// How deep a JSON text is nested.
fn depth(raw: &str) -> usize {
    if !raw.starts_with(['{', '[']) {
        return 0;
    }
    let (mut deepest, mut depth, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => (),
        }
    }
    deepest
}

/// Whether every string in a JSON text is free of `\u0000` and of lone surrogates.
fn fits_jsonb(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let mut place = 0;
    // A backslash stands only in strings, before the character that it escapes.
    while let Some(found) = memchr::memchr(b'\\', bytes.get(place..).unwrap_or_default()) {
        let escape = place + found;
        place = escape + 2;
        if bytes.get(escape + 1) != Some(&b'u') {
            continue;
        }
        place = escape + 6;
        match code_unit(bytes, escape) {
            Some(0xd800..=0xdbff) => match code_unit(bytes, place) {
                Some(0xdc00..=0xdfff) => place += 6,
                _ => return false,
            },
            None | Some(0 | 0xdc00..=0xdfff) => return false,
            Some(_) => (),
        }
    }
    true
}

/// The UTF-16 code unit that the escape at this place, `\u` and four hexadecimal digits, stands for.
fn code_unit(bytes: &[u8], place: usize) -> Option<u16> {
    let digits = bytes.get(place..place + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_quoted(&mut json, text);
    json
}

/// Appends `text` as a JSON string.
pub fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        json.push_str(&rest[..place]);
        match rest.as_bytes()[place] {
            escaped @ (b'"' | b'\\') => json.extend(['\\', char::from(escaped)]),
            control => json.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[place + 1..];
    }
    json.push_str(rest);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_is_known_as_text_and_as_base64() {
        assert!(is_unavailable(r#""__debezium_unavailable_value""#));
        assert!(is_unavailable(r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#));
        assert!(!is_unavailable("__debezium_unavailable_value"));
        assert!(!is_unavailable(r#""other""#));
        assert!(!is_unavailable("\""));
    }

    #[test]
    fn the_placeholder_is_known_in_hex_in_an_array_and_in_a_map() {
        assert!(is_unavailable(&format!("\"{UNAVAILABLE_HEX}\"")));
        assert!(is_unavailable(r#"["__debezium_unavailable_value"]"#));
        assert!(is_unavailable(r#"{"__debezium_unavailable_value": "__debezium_unavailable_value"}"#));
        for other in ["[", "{", "[]", "{}", r#"["a", "__debezium_unavailable_value"]"#, r#"{"a": 1}"#] {
            assert!(!is_unavailable(other), "{other}");
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(check(&nested(DEPTH_MAX + 1)).unwrap_err().error_type, crate::ErrorType::TooLarge);
        assert_eq!(depth(r#"{"a": "[[[\"[[", "b": [[]]}"#), 3);
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        assert!(matches!(string(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!(string(r#""a\nb\u00e9""#).as_deref(), Some("a\nbé"));
        assert_eq!(string(r#""\ud800""#), None);
        assert_eq!(string("12"), None);
        assert_eq!(string("\""), None);
    }

    #[test]
    fn escapes_mean_what_they_mean_to_serde_json() {
        for raw in [
            r#""\"\\/\b\f\n\r\t""#,
            r#""<a b=\"c\">\n  é\\</a> and so on""#,
            r#""\u00e9\n""#,
            r#""\x""#,
            r#""\\""#,
            r#""a\""#,
            r#""\n"x""#,
            "\"\\n\u{1}\"",
            "\"\\",
        ] {
            assert_eq!(string(raw).map(Cow::into_owned), serde_json::from_str(raw).ok(), "{raw}");
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        for byte in 0..=u8::MAX {
            for place in 0..2 * BYTES_AT_ONCE {
                for others in [b' ', b'~', b'!', b'#', b'[', b']', 0x80, 0xff] {
                    let mut bytes = [others; 2 * BYTES_AT_ONCE];
                    bytes[place] = byte;
                    let plain = if is_special(byte) { place } else { bytes.len() };
                    assert_eq!(plain_length(&bytes), plain, "{byte} at {place}");
                    let rest = bytes.len() - place;
                    assert_eq!(plain_length(&bytes[place..]), if is_special(byte) { 0 } else { rest });
                }
            }
        }
    }

    #[test]
    fn jsonb_refuses_zero_characters_and_lone_surrogates() {
        assert!(fits_jsonb(r#"{"a": ["x", 1, 1.5, null, true, "\u00e9"]}"#));
        assert!(fits_jsonb(r#""\\u0000""#), "an escaped backslash is not an escape of u0000");
        assert!(!fits_jsonb(r#"{"a": "\u0000"}"#));
        assert!(!fits_jsonb(r#"{"\u0000": 1}"#));
        for unfit in [r#"["\udc00"]"#, r#""\ud800x""#, r#""\ud800\u0041""#, r#""\\\ud800""#, r#""\ud8"#] {
            assert!(!fits_jsonb(unfit), "{unfit}");
        }
        assert!(fits_jsonb(r#"{"crab": "\ud83e\udd80", "n": 1e4000}"#));
    }

    #[test]
    fn a_quoted_text_reads_back_as_itself() {
        for text in ["", "plain", "q\"b\\", "tab\tnew\n\u{1}", "é🦀"] {
            assert_eq!(serde_json::from_str::<String>(&quoted(text)).unwrap(), text);
        }
    }
}
