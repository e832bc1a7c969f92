//! Character data: names, references, line ends, trimming.
//!
//! The rules are those of XML 1.0 (sections 2.2, 2.11, 3.3.3 and 4.6); XML 1.1 is read by the same.

use std::borrow::Cow;

use super::XmlErrorKind;
use super::error::{Fault, shortened};

/// White space as XML means it.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether this can name an element or attribute. Beyond ASCII every character is taken.
pub(super) fn is_name(name: &str) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || !byte.is_ascii();
    let continues = |byte: u8| starts(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(starts) && bytes.all(continues)
}

/// A name without its prefix.
pub(super) fn local_name(name: &str) -> &str {
    match memchr::memrchr(b':', name.as_bytes()) {
        Some(colon) => &name[colon + 1..],
        None => name,
    }
}

/// Where the first control character stands that no XML document may hold (and, of them, zero no `text`).
pub(super) fn forbidden_control(text: &str) -> Option<usize> {
    let forbidden = |byte: u8| byte < b' ' && !is_space(byte);
    // The whole first, without a branch: documents with such a character are rare, and this runs over all of them.
    let found = text.bytes().fold(false, |found, byte| found | forbidden(byte));
    if found { text.bytes().position(forbidden) } else { None }
}

/// Takes the white space off both ends.
pub(super) fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    let spaces = |character: char| u8::try_from(character).is_ok_and(is_space);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(spaces)),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches(spaces).len());
            text.drain(..text.len() - text.trim_start_matches(spaces).len());
            Cow::Owned(text)
        }
    }
}

/// Makes every line end a single line feed.
pub(super) fn with_line_feeds(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// The character that the reference `&name;` stands for.
pub(super) fn resolve(name: &str) -> Result<char, XmlErrorKind> {
    Ok(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => {
            let number =
                name.strip_prefix('#').ok_or_else(|| XmlErrorKind::UnknownEntity(shortened(name)))?;
            numbered(number).ok_or_else(|| {
                XmlErrorKind::Malformed(format!("&{}; is no character of XML", shortened(name)))
            })?
        }
    })
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // from_str_radix would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    let allowed = matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    allowed.then_some(character)
}

/// The value of an attribute: references resolved, each other white space character a blank.
///
/// The offset of the error counts in `raw`.
pub(super) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, Fault> {
    let special = |byte: u8| matches!(byte, b'&' | b'\t' | b'\n' | b'\r');
    let Some(first) = raw.bytes().position(special) else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut value = String::with_capacity(raw.len());
    let (mut copied, mut next) = (0, Some(first));
    while let Some(at) = next {
        value.push_str(&raw[copied..at]);
        let rest = &raw[at..];
        copied = at
            + if let Some(reference) = rest.strip_prefix('&') {
                let end = memchr::memchr(b';', reference.as_bytes())
                    .ok_or_else(|| Fault::malformed("a reference (&) has no ; at its end", at))?;
                value.push(resolve(&reference[..end]).map_err(|kind| Fault::new(kind, at))?);
                end + 2
            } else {
                value.push(' ');
                if rest.starts_with("\r\n") { 2 } else { 1 }
            };
        next = raw[copied..].bytes().position(special).map(|found| copied + found);
    }
    value.push_str(&raw[copied..]);
    Ok(Cow::Owned(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_characters() {
        let resolved = ["lt", "gt", "amp", "apos", "quot", "#65", "#x1F600", "#xa"].map(resolve);
        assert_eq!(resolved, ['<', '>', '&', '\'', '"', 'A', '😀', '\n'].map(Ok));
    }

    #[test]
    fn unknown_entities_and_impossible_characters_are_refused() {
        for name in ["nbsp", "", "LT", "xxe"] {
            assert_eq!(resolve(name), Err(XmlErrorKind::UnknownEntity(name.to_owned())));
        }
        let impossible =
            ["#", "#x", "#0", "#x1", "#xD800", "#xFFFE", "#x110000", "#99999999999", "#+65", "#-1", "#X41"];
        for name in impossible.into_iter().chain(["#4F"]) {
            assert!(matches!(resolve(name), Err(XmlErrorKind::Malformed(_))), "{name}");
        }
    }

    #[test]
    fn attribute_values_are_decoded_and_plain_ones_are_borrowed() {
        assert!(matches!(attribute_value("plain é"), Ok(Cow::Borrowed("plain é"))));
        assert_eq!(attribute_value("&lt;a&amp;b&gt;").unwrap(), "<a&b>");
        assert_eq!(attribute_value("a\r\nb\tc\rd\ne&#10;f").unwrap(), "a b c d e\nf");
        assert_eq!(attribute_value("a & b").unwrap_err().offset, 2);
        assert_eq!(attribute_value("ab&x;").unwrap_err().kind, XmlErrorKind::UnknownEntity("x".into()));
    }

    #[test]
    fn line_ends_become_line_feeds() {
        assert_eq!(with_line_feeds("a\r\nb\rc\n\r".into()), "a\nb\nc\n\n");
        assert!(matches!(with_line_feeds("a\nb".into()), Cow::Borrowed(_)));
    }

    #[test]
    fn white_space_is_taken_off_both_ends_and_no_other_space() {
        assert_eq!(trimmed(" \t\r\na b\n".into()), "a b");
        assert_eq!(trimmed(Cow::Owned(" \u{a0}a \n".into())), "\u{a0}a");
        assert_eq!(trimmed(Cow::Owned(" ".into())), "");
    }

    #[test]
    fn control_characters_are_found() {
        assert_eq!(forbidden_control("a\tb\r\n\u{7f}é"), None);
        assert_eq!(forbidden_control("é\0"), Some(2));
        assert_eq!(forbidden_control("\u{1b}"), Some(0));
    }

    #[test]
    fn names_are_told_from_other_text() {
        for name in ["a", "_a", "a-1.b", "p:a", "é"] {
            assert!(is_name(name), "{name}");
        }
        for wrong in ["", "1a", "-a", "a b", "a\"", "a/b", "<a"] {
            assert!(!is_name(wrong), "{wrong}");
        }
        assert_eq!((local_name("p:a"), local_name("a")), ("a", "a"));
    }
}
