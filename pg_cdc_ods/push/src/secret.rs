//! Credentials that cannot be printed by accident.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;

use crate::header::{Header, HeaderError, sensitive};

/// A secret text. It has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// How a request shows who sends it. A custom header is a [`Header`] of the endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer(Secret),
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Name of the user; a colon cannot be part of it.
        user: String,
        /// The password.
        password: Secret,
    },
}

impl Authorization {
    /// The header that carries it, if there is one.
    pub(crate) fn header(&self) -> Result<Option<Header>, HeaderError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Bearer(token) => format!("Bearer {}", token.0),
            Self::Basic { user, password } if !user.contains(':') => {
                format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)))
            }
            Self::Basic { .. } => return Err(HeaderError::Value(AUTHORIZATION.to_string())),
        };
        let value = sensitive(&text).ok_or_else(|| HeaderError::Value(AUTHORIZATION.to_string()))?;
        Ok(Some(Header { name: AUTHORIZATION, value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str) -> Authorization {
        Authorization::Basic { user: user.to_owned(), password: Secret::new("open sesame") }
    }

    #[test]
    fn each_form_is_written_as_its_rfc_says() {
        // The example of RFC 7617, section 2.
        let header = basic("Aladdin").header().unwrap().unwrap();
        assert_eq!(header.value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let header = Authorization::Bearer(Secret::new("mF_9.B5f-4.1JqM")).header().unwrap().unwrap();
        assert_eq!(header.value, "Bearer mF_9.B5f-4.1JqM");
        assert_eq!(Authorization::None.header(), Ok(None));
    }

    #[test]
    fn a_secret_never_prints() {
        let shown = format!("{:?} {:?}", basic("Aladdin"), basic("Aladdin").header());
        assert!(!shown.contains("sesame") && !shown.contains("QWxhZGRpbj"), "{shown}");
        let broken = Authorization::Bearer(Secret::new("line\nbreak")).header().unwrap_err();
        assert_eq!(broken, HeaderError::Value("authorization".to_owned()));
        assert!(basic("with:colon").header().is_err());
    }
}
