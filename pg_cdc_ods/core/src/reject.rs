//! Why a message cannot be applied: what a dead letter says to the DBA who finds it.

use std::fmt;

/// The class of a dead letter, as it stands in `cdc.dlq.error_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The body is not JSON, or not UTF-8.
    MalformedJson,
    /// The body is JSON, but not a change event in a form that is known.
    MalformedEvent,
    /// An XML document in a column cannot be extracted; the rest of the event is applied.
    MalformedXml,
    /// A value does not fit its column, or a column that must be there is missing.
    SchemaMismatch,
    /// No target is attached to the event's source table.
    UnknownSource,
    /// The target table refused the row: a check, a foreign key, a unique index, a NOT NULL.
    ConstraintViolation,
    /// The message or one of its values is larger than a limit allows.
    TooLarge,
    /// Anything else that went wrong while the row was written.
    ProcessingError,
}

impl ErrorType {
    /// The name used in `cdc.dlq` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "MALFORMED_JSON",
            Self::MalformedEvent => "MALFORMED_EVENT",
            Self::MalformedXml => "MALFORMED_XML",
            Self::SchemaMismatch => "SCHEMA_MISMATCH",
            Self::UnknownSource => "UNKNOWN_SOURCE",
            Self::ConstraintViolation => "CONSTRAINT_VIOLATION",
            Self::TooLarge => "TOO_LARGE",
            Self::ProcessingError => "PROCESSING_ERROR",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that cannot be applied, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Reject {
    /// The class of the failure.
    pub error_type: ErrorType,
    /// One sentence: what was wrong.
    pub message: String,
    /// Where in the event it was wrong, e.g. `payload.after.TOTAL_AMOUNT`; empty when it concerns the whole.
    pub path: String,
    /// Whether the message may be applied later as it is: what it waits for can come, such as a table or the row that
    /// a foreign key names.
    pub may_heal: bool,
}

impl Reject {
    /// A failure that concerns the whole message.
    pub fn whole(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into(), path: String::new(), may_heal: false }
    }

    /// A failure at one place of the message.
    pub fn at(error_type: ErrorType, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into(), path: path.into(), may_heal: false }
    }

    /// The same failure, of a kind that time may heal.
    #[must_use]
    pub fn that_may_heal(self) -> Self {
        Self { may_heal: true, ..self }
    }
}
