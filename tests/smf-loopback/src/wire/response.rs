//! Response codes and texts. libsolclient tells errors apart by code and text together, so the known
//! texts are exact.

use std::borrow::Cow;

use super::WireError;
use super::field::u32_of;

/// Code and text of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 is success, everything else an error.
    pub code: u32,
    /// What the client reports and maps to a subcode.
    pub text: Cow<'static, str>,
}

impl Response {
    /// Done.
    pub const OK: Self = Self::known(200, "OK");
    /// Wrong user name or password.
    pub const UNAUTHORIZED: Self = Self::known(401, "Unauthorized");
    /// The message VPN of a login is not there.
    pub const VPN_NOT_ALLOWED: Self = Self::known(403, "Message VPN Not Allowed");
    /// No further client may log in.
    pub const TOO_MANY_CLIENTS: Self = Self::known(503, "Too Many Clients");
    /// Adding a subscription that is there.
    pub const SUBSCRIPTION_EXISTS: Self = Self::known(400, "Subscription Already Exists");
    /// Removing a subscription that is not there.
    pub const SUBSCRIPTION_NOT_FOUND: Self = Self::known(400, "Subscription Not Found");
    /// The queue is not there.
    pub const UNKNOWN_QUEUE: Self = Self::known(503, "Unknown Queue");
    /// Creating an endpoint that is there.
    pub const ALREADY_EXISTS: Self = Self::known(400, "Already Exists");
    /// Resuming a publisher flow that the broker does not know (any more).
    pub const UNKNOWN_FLOW_NAME: Self = Self::known(400, "Unknown Flow Name");
    /// No room for a message.
    pub const SPOOL_OVER_QUOTA: Self = Self::known(503, "Spool Over Quota");
    /// The message is larger than allowed.
    pub const MESSAGE_TOO_LARGE: Self = Self::known(400, "Document Is Too Large");
    /// The queue of a flow was deleted. The text is a guess.
    pub const QUEUE_DELETED: Self = Self::known(503, "Queue Deleted");
    /// The subscription is malformed. The text is a guess.
    pub const INVALID_SUBSCRIPTION: Self = Self::known(400, "Subscription Invalid");
    /// The queue name is malformed. The text is a guess.
    pub const INVALID_QUEUE_NAME: Self = Self::known(400, "Invalid Queue Name");
    /// Something that this broker does not do. The text is its own.
    pub const NOT_SUPPORTED: Self = Self::known(400, "Not Supported By This Broker");

    const fn known(code: u32, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// Any code and text.
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: Cow::Owned(text.into()) }
    }

    /// Reads the value of the header parameter.
    ///
    /// # Errors
    /// If there is no code or the text is not UTF-8.
    pub fn parse(value: &[u8]) -> Result<Self, WireError> {
        let (code, text) = value.split_at_checked(4).ok_or(WireError::Truncated("a response"))?;
        let text = std::str::from_utf8(text).map_err(|_| WireError::Text("a response"))?;
        Ok(Self::new(u32_of(code, "a response")?, text))
    }

    /// The value of the header parameter.
    pub fn to_value(&self) -> Vec<u8> {
        [&self.code.to_be_bytes(), self.text.as_bytes()].concat()
    }
}
