//! JSON values whose numbers keep their digits.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// A JSON value. Numbers stay as they were written: `12.30` is not `12.3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, by its digits.
    Number(String),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; of members with the same name the last one.
    Object(BTreeMap<String, Json>),
}

/// The text is not JSON.
#[derive(Debug)]
pub struct InvalidJson(serde_json::Error);

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {}", self.0)
    }
}

impl std::error::Error for InvalidJson {}

impl Json {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// [`InvalidJson`] if it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidJson> {
        Self::from_raw(serde_json::from_str(text).map_err(InvalidJson)?)
    }

    fn from_raw(raw: &RawValue) -> Result<Self, InvalidJson> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(InvalidJson)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(InvalidJson)?;
                Self::Array(items.into_iter().map(Self::from_raw).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(InvalidJson)?;
                let members = members.into_iter().map(|(name, raw)| Ok((name, Self::from_raw(raw)?)));
                Self::Object(members.collect::<Result<_, InvalidJson>>()?)
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// An object without members.
    pub fn empty_object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// The member `name`, if this is an object that has it.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(digits) => f.write_str(digits),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(items) => f.debug_list().entries(items.iter().map(Shown)).finish(),
            Self::Object(members) => {
                f.debug_map().entries(members.iter().map(|(name, value)| (name, Shown(value)))).finish()
            }
        }
    }
}

/// Shows a value inside another by its text.
struct Shown<'a>(&'a Json);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let digits = "123456789012345678901234567890.10";
        let json = Json::parse(&format!(r#"{{"a": [{digits}, -0, 1e2]}}"#)).unwrap();
        assert_eq!(json.to_string(), format!(r#"{{"a": [{digits}, -0, 1e2]}}"#));
        assert_ne!(Json::parse("12.30").unwrap(), Json::parse("12.3").unwrap());
    }

    #[test]
    fn order_of_members_and_spaces_do_not_matter() {
        let one = Json::parse(r#"{"a": 1, "b": {"c": null, "d": "\u00fc"}}"#).unwrap();
        let other = Json::parse(r#"{"b":{"d":"ü","c":null},"a":1}"#).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_cut_or_has_a_tail_is_not_json() {
        for text in ["", "{", "{\"a\":", "{} x", "nul"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }
}
