//! Small tools over raw JSON text: columns stay text until the type of their target is known.

use std::borrow::Cow;

/// What Debezium sends in place of a value that the change did not touch and that it does not have.
const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// The same in base64, as it stands in a binary column.
const UNAVAILABLE_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// Whether raw JSON text is Debezium's placeholder for "unchanged, not sent".
pub fn is_unavailable(raw: &str) -> bool {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    inner == UNAVAILABLE || inner == UNAVAILABLE_BASE64
}

/// The text of a raw JSON string, borrowed where it has no escapes; `None` if it is not a valid string.
///
/// Lone surrogates make a string invalid: neither `text` nor `jsonb` can hold them.
pub(crate) fn string<'a>(raw: &'a str) -> Option<Cow<'a, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

/// Whether PostgreSQL's `jsonb` takes this text: every string in it is valid and free of `\u0000`.
///
/// The text is known to be JSON; only `\u` escapes can make it unfit, so the common case is one search.
pub(crate) fn fits_jsonb(raw: &str) -> bool {
    if memchr::memmem::find(raw.as_bytes(), b"\\u").is_none() {
        return true;
    }
    serde_json::from_str::<FitsJsonb>(raw).is_ok()
}

/// Walks a JSON document and fails at the first string that `jsonb` cannot hold.
struct FitsJsonb;

impl<'de> serde::Deserialize<'de> for FitsJsonb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FitsJsonbVisitor)
    }
}

struct FitsJsonbVisitor;

impl<'de> serde::de::Visitor<'de> for FitsJsonbVisitor {
    type Value = FitsJsonb;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without zero characters")
    }

    fn visit_unit<E>(self) -> Result<FitsJsonb, E> {
        Ok(FitsJsonb)
    }

    fn visit_bool<E>(self, _: bool) -> Result<FitsJsonb, E> {
        Ok(FitsJsonb)
    }

    fn visit_u64<E>(self, _: u64) -> Result<FitsJsonb, E> {
        Ok(FitsJsonb)
    }

    fn visit_i64<E>(self, _: i64) -> Result<FitsJsonb, E> {
        Ok(FitsJsonb)
    }

    fn visit_f64<E>(self, _: f64) -> Result<FitsJsonb, E> {
        Ok(FitsJsonb)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FitsJsonb, E> {
        if text.contains('\0') { Err(E::custom("zero character")) } else { Ok(FitsJsonb) }
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<FitsJsonb, A::Error> {
        while seq.next_element::<FitsJsonb>()?.is_some() {}
        Ok(FitsJsonb)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<FitsJsonb, A::Error> {
        while map.next_entry::<FitsJsonb, FitsJsonb>()?.is_some() {}
        Ok(FitsJsonb)
    }
}

/// Appends `text` to `json` as a JSON string.
pub(crate) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if (c as u32) < 0x20 => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
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
    fn strings_without_escapes_are_borrowed() {
        assert!(matches!(string(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!(string(r#""a\nb\u00e9""#).as_deref(), Some("a\nbé"));
        assert_eq!(string(r#""\ud800""#), None);
        assert_eq!(string("12"), None);
        assert_eq!(string("\""), None);
    }

    #[test]
    fn jsonb_refuses_zero_characters_and_lone_surrogates() {
        assert!(fits_jsonb(r#"{"a": ["x", 1, 1.5, null, true, "\u00e9"]}"#));
        assert!(fits_jsonb(r#""\\u0000""#), "an escaped backslash is not an escape of u0000");
        assert!(!fits_jsonb(r#"{"a": "\u0000"}"#));
        assert!(!fits_jsonb(r#"{"\u0000": 1}"#));
        assert!(!fits_jsonb(r#"["\udc00"]"#));
    }

    #[test]
    fn a_pushed_string_reads_back_as_itself() {
        for text in ["", "plain", "q\"b\\", "tab\tnew\n\u{1}", "é🦀"] {
            let mut json = String::new();
            push_string(&mut json, text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
