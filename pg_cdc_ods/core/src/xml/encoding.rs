//! From the bytes of a document to its text.
//!
//! A byte order mark decides; else zero bytes that only UTF-16 can have; else the encoding declaration, by the names
//! of the WHATWG Encoding Standard; else it is UTF-8. That standard reads ISO-8859-1 as windows-1252, which differs
//! only in control characters that nobody uses.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::error::{Fault, shortened};
use super::text::is_space;
use super::{XmlErrorKind, XmlLimit};

/// How far the encoding declaration is looked for, in bytes. The longest that makes sense has about 80.
const DECLARATION_BYTES: usize = 256;

/// The text of the document, borrowed if it is UTF-8, without a byte order mark.
///
/// Offsets of the [`Fault`] count in `bytes`.
pub(super) fn decode(bytes: &[u8], max_bytes: usize) -> Result<Cow<'_, str>, Fault> {
    if bytes.len() > max_bytes {
        return Err(Fault::new(XmlErrorKind::Limit(XmlLimit::Bytes(max_bytes)), max_bytes));
    }
    let (encoding, mark_length) = match Encoding::for_bom(bytes) {
        Some(found) => found,
        None => (without_mark(bytes)?, 0),
    };
    let content = &bytes[mark_length..];
    if encoding == UTF_8 {
        return match std::str::from_utf8(content) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => {
                let offset = mark_length + error.valid_up_to();
                let problem = format!("byte 0x{:02x} is not UTF-8 here", bytes[offset]);
                Err(Fault::new(XmlErrorKind::Encoding(problem), offset))
            }
        };
    }
    encoding.decode_without_bom_handling_and_without_replacement(content).ok_or_else(|| {
        let problem = format!("its bytes are not {}", encoding.name());
        Fault::new(XmlErrorKind::Encoding(problem), mark_length)
    })
}

fn without_mark(bytes: &[u8]) -> Result<&'static Encoding, Fault> {
    match bytes {
        [b'<', 0, ..] => return Ok(UTF_16LE),
        [0, b'<', ..] => return Ok(UTF_16BE),
        _ => {}
    }
    let Some((label, offset)) = declared(bytes) else {
        return Ok(UTF_8);
    };
    let refuse = |problem: &str| {
        let label = String::from_utf8_lossy(label);
        Fault::new(XmlErrorKind::Encoding(format!("encoding {:?} {problem}", shortened(&label))), offset)
    };
    let encoding = Encoding::for_label_no_replacement(label).ok_or_else(|| refuse("is not known"))?;
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return Err(refuse("is declared, but the document is not written in it"));
    }
    Ok(encoding)
}

/// The name in the encoding declaration, and where it stands.
fn declared(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let end = head.starts_with(b"<?xml").then(|| memchr::memmem::find(head, b"?>"))??;
    let mut at = memchr::memmem::find(&head[..end], b"encoding")? + b"encoding".len();
    let skip_space = |at: usize| at + head[at..end].iter().take_while(|byte| is_space(**byte)).count();
    at = skip_space(at);
    if head[at] != b'=' {
        return None;
    }
    at = skip_space(at + 1);
    let quote = *head[at..end].first().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let length = memchr::memchr(quote, &head[at + 1..end])?;
    Some((&head[at + 1..at + 1 + length], at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = 1_000;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf_8_is_borrowed_with_and_without_a_mark() {
        for bytes in ["<a>é</a>".as_bytes(), "\u{feff}<a>é</a>".as_bytes()] {
            assert!(matches!(decode(bytes, MAX_BYTES).unwrap(), Cow::Borrowed("<a>é</a>")));
        }
    }

    #[test]
    fn utf_16_is_known_by_its_mark_or_its_zeros() {
        for text in ["\u{feff}<a>é😀</a>", "<a>é😀</a>"] {
            for to_bytes in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
                assert_eq!(decode(&utf16(text, to_bytes), MAX_BYTES).unwrap(), "<a>é😀</a>");
            }
        }
    }

    #[test]
    fn other_encodings_are_declared() {
        for label in ["ISO-8859-1", "windows-1252", "latin1"] {
            let mut bytes = format!("<?xml version='1.0' encoding = \"{label}\"?><a>").into_bytes();
            bytes.extend(b"\xe9</a>");
            assert!(decode(&bytes, MAX_BYTES).unwrap().ends_with("<a>é</a>"), "{label}");
        }
    }

    #[test]
    fn wrong_bytes_and_unknown_encodings_have_a_place() {
        for (bytes, offset, hint) in [
            (&b"<a>\xff</a>"[..], 3, "0xff is not UTF-8"),
            (b"\xef\xbb\xbf<a>\xc3", 6, "0xc3 is not UTF-8"),
            (b"<?xml version='1.0' encoding='klingon'?><a/>", 30, "\"klingon\" is not known"),
            (b"<?xml version='1.0' encoding='UTF-16'?><a/>", 30, "not written in it"),
            (b"\xff\xfe<\0a", 2, "not UTF-16LE"),
        ] {
            let fault = decode(bytes, MAX_BYTES).unwrap_err();
            assert_eq!(fault.offset, offset, "{fault:?}");
            assert!(fault.kind.to_string().contains(hint), "{fault:?}");
        }
    }

    #[test]
    fn a_declaration_that_is_cut_off_means_utf_8() {
        let whole = b"<?xml version='1.0' encoding = 'ISO-8859-1'?>";
        for end in 0..whole.len() - 1 {
            assert!(declared(&whole[..end]).is_none());
        }
        assert!(declared(b"<?xml encoding?>").is_none() && declared(b"<?xml encoding=?>").is_none());
    }

    #[test]
    fn documents_above_the_limit_are_not_decoded() {
        assert!(decode(b"<a></a>", 7).is_ok());
        let fault = decode(b"<a></a>", 6).unwrap_err();
        assert_eq!(fault.kind, XmlErrorKind::Limit(XmlLimit::Bytes(6)));
    }
}
