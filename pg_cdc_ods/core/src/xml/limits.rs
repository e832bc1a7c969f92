//! How much of a document is read before it is refused.

use std::fmt;

/// The limits of one extraction. A document at a limit is read, one above it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XmlLimits {
    /// How deep elements may stand in each other; the root is at depth 1.
    pub depth: usize,
    /// Size of the document, in bytes, as it came and as UTF-8.
    pub bytes: usize,
    /// Rows of one document, those of nested tables included.
    pub rows: usize,
    /// Length of one value, in bytes of UTF-8, before white space is taken off its ends.
    pub text_bytes: usize,
    /// Length of all values of one document together, in bytes of UTF-8.
    pub total_text_bytes: usize,
}

impl XmlLimits {
    /// Documents that people design are rarely deeper than ten.
    pub const DEFAULT_DEPTH: usize = 64;
    /// 16 MiB, a few times the largest document that is expected in an order.
    pub const DEFAULT_BYTES: usize = 16 * 1024 * 1024;
    /// With ten columns these are about 25 MB of cells.
    pub const DEFAULT_ROWS: usize = 100_000;
    /// 1 MiB, far above any name or address, far below what would hurt.
    pub const DEFAULT_TEXT_BYTES: usize = 1024 * 1024;
    /// 64 MiB. A document at its limit in size stays below it; what exceeds it repeats a long attribute of a parent, or
    /// a long default, in many rows.
    pub const DEFAULT_TOTAL_TEXT_BYTES: usize = 64 * 1024 * 1024;
}

impl Default for XmlLimits {
    fn default() -> Self {
        Self {
            depth: Self::DEFAULT_DEPTH,
            bytes: Self::DEFAULT_BYTES,
            rows: Self::DEFAULT_ROWS,
            text_bytes: Self::DEFAULT_TEXT_BYTES,
            total_text_bytes: Self::DEFAULT_TOTAL_TEXT_BYTES,
        }
    }
}

/// A limit that a document exceeds, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlLimit {
    /// [`XmlLimits::depth`]
    Depth(usize),
    /// [`XmlLimits::bytes`]
    Bytes(usize),
    /// [`XmlLimits::rows`]
    Rows(usize),
    /// [`XmlLimits::text_bytes`]
    TextBytes(usize),
    /// [`XmlLimits::total_text_bytes`]
    TotalTextBytes(usize),
}

impl XmlLimit {
    /// The setting that raises the limit.
    fn setting(self) -> &'static str {
        match self {
            Self::Depth(_) => "pg_cdc_ods.xml_max_depth",
            Self::Bytes(_) => "pg_cdc_ods.xml_max_bytes",
            Self::Rows(_) => "pg_cdc_ods.xml_max_rows",
            Self::TextBytes(_) => "pg_cdc_ods.xml_max_text_bytes",
            Self::TotalTextBytes(_) => "pg_cdc_ods.xml_max_total_text_bytes",
        }
    }
}

impl fmt::Display for XmlLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(limit) => write!(f, "elements stand deeper than {limit} in each other")?,
            Self::Bytes(limit) => write!(f, "the document is larger than {limit} bytes")?,
            Self::Rows(limit) => write!(f, "the document has more than {limit} rows")?,
            Self::TextBytes(limit) => write!(f, "a value is longer than {limit} bytes")?,
            Self::TotalTextBytes(limit) => write!(f, "its values are longer than {limit} bytes together")?,
        }
        write!(f, "; the setting {} raises this limit", self.setting())
    }
}
