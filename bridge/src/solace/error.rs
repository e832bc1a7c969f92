//! What can go wrong between the bridge and the broker, and what to do about it.

use std::ffi::CStr;
use std::path::PathBuf;

use super::ffi::{ErrorInfo, ReturnCode, SubCode, sub_code};
use super::library::Library;

/// A call that the library or the broker refused, or a library that could not be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No libsolclient in any of the places it is searched for.
    #[error(
        "libsolclient was not found (tried {}); run scripts/setup.sh, which puts it at \
         target/solclient/lib/libsolclient.so, or set LIBSOLCLIENT to the file from Solace's own package",
        list(.tried)
    )]
    LibraryNotFound {
        /// Files and names that were tried, with what the system said.
        tried: Vec<String>,
    },
    /// The file was loaded but lacks a function: not a libsolclient, or too old.
    #[error("{} has no function {function}; libsolclient 7.21 or newer is needed", .path.display())]
    LibraryTooOld {
        /// The file that was loaded.
        path: PathBuf,
        /// The first function that is missing.
        function: &'static str,
        /// What the dynamic loader says.
        source: libloading::Error,
    },
    /// A call failed.
    #[error("{doing} failed: {text} ({sub_code_name}{})", response(*.response_code))]
    Call {
        /// What was tried, such as `connecting to tcp://localhost:55555`.
        doing: String,
        /// Why, in the words of the library or the broker.
        text: String,
        /// Code of the reason.
        sub_code: u32,
        /// Name of the reason, such as `SOLCLIENT_SUBCODE_LOGIN_FAILURE`.
        sub_code_name: String,
        /// The broker's response code, 0 if it did not come from the broker.
        response_code: u32,
    },
    /// A text for the C library contains a NUL.
    #[error("{what} contains a NUL character")]
    InteriorNul {
        /// Which text.
        what: &'static str,
    },
    /// A payload is longer than a message can be.
    #[error("the payload has {bytes} bytes, more than a message can hold")]
    PayloadTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// User properties are nested deeper than [`MAX_USER_PROPERTY_DEPTH`](super::MAX_USER_PROPERTY_DEPTH).
    #[error("user properties are nested more than {} levels deep", super::MAX_USER_PROPERTY_DEPTH)]
    PropertiesTooDeep,
    /// Neither the broker nor the library has told the outcome of a bind.
    #[error("binding to queue {queue:?} had no outcome within {} s", .waited.as_secs_f32())]
    NotBound {
        /// The queue.
        queue: String,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// The session is down for good.
    #[error("the session is down: {text}")]
    SessionDown {
        /// Why.
        text: String,
    },
    /// Published messages have no answer yet.
    #[error("{messages} published messages were not answered within {} s", .waited.as_secs_f32())]
    Unanswered {
        /// How many.
        messages: usize,
        /// How long they were waited for.
        waited: std::time::Duration,
    },
}

impl Error {
    /// The reason of the last call of this thread, which returned `code`.
    pub(super) fn last(library: &Library, doing: impl Into<String>, code: ReturnCode) -> Self {
        // SAFETY: the function takes nothing; it returns null or a struct of this thread, valid until its next call.
        let info: Option<&ErrorInfo> = unsafe { (library.api().get_last_error_info)().as_ref() };
        let Some(info) = info else {
            return Self::Call {
                doing: doing.into(),
                text: format!("return code {code}"),
                sub_code: 0,
                sub_code_name: "no subcode".to_owned(),
                response_code: 0,
            };
        };
        // SAFETY: the library terminates the text within its 256 bytes.
        let text = unsafe { CStr::from_ptr(info.text.as_ptr()) };
        Self::Call {
            doing: doing.into(),
            text: text.to_string_lossy().into_owned(),
            sub_code: info.sub_code,
            sub_code_name: library.sub_code_name(info.sub_code),
            response_code: info.response_code,
        }
    }

    /// What the user can do, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Call { sub_code, .. } => hint(*sub_code),
            _ => None,
        }
    }

    pub(super) fn sub_code(&self) -> Option<SubCode> {
        match self {
            Self::Call { sub_code, .. } => Some(*sub_code),
            _ => None,
        }
    }
}

fn hint(reason: SubCode) -> Option<&'static str> {
    Some(match reason {
        sub_code::COMMUNICATION_ERROR | sub_code::TIMEOUT => {
            "check SOLACE_HOST and SOLACE_PORT, and that the broker runs and is reachable from here"
        }
        sub_code::UNRESOLVED_HOST => "check the name in SOLACE_HOST",
        sub_code::LOGIN_FAILURE => "check SOLACE_USERNAME and SOLACE_PASSWORD",
        sub_code::MSG_VPN_NOT_ALLOWED => "check SOLACE_VPN, and that the user is allowed in that message VPN",
        sub_code::MSG_VPN_UNAVAILABLE => "the message VPN is shut down or does not exist; check SOLACE_VPN",
        sub_code::TOO_MANY_CLIENTS => {
            "the broker allows no more connections; raise its limit or close others"
        }
        sub_code::UNKNOWN_QUEUE_NAME => "create the queue on the broker, or set SOLACE_PROVISION=true",
        sub_code::QUEUE_SHUTDOWN => "enable the egress of the queue on the broker",
        sub_code::MAX_CLIENTS_FOR_QUEUE => "the queue allows no more flows; is another bridge bound to it?",
        sub_code::PERMISSION_NOT_ALLOWED => "give the client user the right to do this to the queue",
        sub_code::UNTRUSTED_CERTIFICATE | sub_code::FAILED_LOADING_TRUSTSTORE => {
            "put the certificate of the broker's authority, as PEM, into SOLACE_TLS_TRUST_STORE_DIR"
        }
        sub_code::UNTRUSTED_COMMONNAME => "SOLACE_HOST must be a name in the broker's certificate",
        sub_code::CERTIFICATE_DATE_INVALID => {
            "renew the broker's certificate, or correct this machine's clock"
        }
        sub_code::LIBRARY_NOT_LOADED => "install OpenSSL (libssl), which libsolclient opens for tcps",
        _ => return None,
    })
}

fn list(tried: &[String]) -> String {
    tried.join("; ")
}

fn response(code: u32) -> String {
    if code == 0 { String::new() } else { format!(", response {code}") }
}
