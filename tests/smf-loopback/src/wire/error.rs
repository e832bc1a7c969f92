//! What can be wrong with bytes from outside.

/// Bytes that are not SMF as this crate knows it. The connection they came from cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The low three bits of a frame are the SMF version, and only 3 is known.
    #[error("SMF version {0} is not supported, only 3")]
    SmfVersion(u8),
    /// A control message of a version that is not known.
    #[error("{message} version {version} is not supported")]
    MessageVersion {
        /// Which control message.
        message: &'static str,
        /// The version it carries.
        version: u8,
    },
    /// The lengths in a frame's fixed part contradict each other.
    #[error("a frame of {total} bytes cannot have a header of {header} bytes")]
    FrameLengths {
        /// Header length as sent.
        header: usize,
        /// Total length as sent.
        total: usize,
    },
    /// A frame longer than the broker takes.
    #[error("a frame of {total} bytes is over the limit of {limit} bytes")]
    FrameTooLarge {
        /// Total length as sent.
        total: usize,
        /// Most that is taken.
        limit: usize,
    },
    /// Something ends before its length says.
    #[error("{0} is cut short")]
    Truncated(&'static str),
    /// A value of a size that its meaning does not allow, or a length that contradicts itself.
    #[error("{0} has a wrong length")]
    Length(&'static str),
    /// Text that is not UTF-8.
    #[error("{0} is not UTF-8 text")]
    Text(&'static str),
    /// A parameter that a request cannot do without.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number that stands for nothing known.
    #[error("{what} {value} is unknown")]
    Unknown {
        /// What the number should name.
        what: &'static str,
        /// The number.
        value: u8,
    },
}
