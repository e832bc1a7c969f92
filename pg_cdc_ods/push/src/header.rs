//! Request headers that users may add.

use http::{HeaderName, HeaderValue};

/// Headers that the engine or the connection sets itself: another value would break the request, or the promise that
/// an event keeps its identity.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One header of a request. Its value never shows in `Debug`, since it may be a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// A header cannot be sent. No form of it shows the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name has characters that no header name has.
    #[error("{0:?} cannot be the name of a header; use letters, digits and hyphens")]
    Name(String),
    /// The value has control characters or is not ASCII.
    #[error("the value of the header {0} cannot be sent; use visible ASCII characters, and no line breaks")]
    Value(String),
    /// The engine sets this header.
    #[error("the header {0} is set by the push worker itself; leave it out")]
    Reserved(String),
}

impl Header {
    /// A header to send.
    ///
    /// # Errors
    /// If the name or the value cannot be sent, or the engine sets this header itself.
    pub fn new(name: &str, value: &str) -> Result<Self, HeaderError> {
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
        if OWN_HEADERS.contains(&parsed.as_str()) {
            return Err(HeaderError::Reserved(parsed.to_string()));
        }
        let value = sensitive(value).ok_or_else(|| HeaderError::Value(parsed.to_string()))?;
        Ok(Self { name: parsed, value })
    }
}

/// A value that neither `Debug` nor the header compression of HTTP/2 keeps. None if it cannot be sent.
pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok())?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_shows() {
        let header = Header::new("X-Api-Key", "hunter2").unwrap();
        assert!(!format!("{header:?}").contains("hunter2"));
        let error = Header::new("X-Api-Key", "hunter2\r\nHost: elsewhere").unwrap_err();
        assert_eq!(error, HeaderError::Value("x-api-key".to_owned()));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn names_are_checked_and_the_engines_own_are_refused() {
        assert_eq!(Header::new("two words", "1").unwrap_err(), HeaderError::Name("two words".to_owned()));
        for name in ["Host", "Idempotency-Key", "content-length"] {
            let reserved = HeaderError::Reserved(name.to_lowercase());
            assert_eq!(Header::new(name, "1").unwrap_err(), reserved);
        }
    }
}
