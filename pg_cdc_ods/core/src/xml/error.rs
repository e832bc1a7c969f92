//! Why a document gives no rows: what is wrong, and where in it.

use std::fmt;

use super::XmlLimit;
use super::decimal::MAX_DIGITS;

/// A document that cannot be extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlError {
    /// What is wrong.
    pub kind: XmlErrorKind,
    /// Where, in bytes from the start of the document as UTF-8, not counting a byte order mark (for
    /// [`XmlErrorKind::Encoding`] and [`XmlLimit::Bytes`], in bytes as it came).
    pub offset: usize,
    /// The line of that place, from 1.
    pub line: usize,
    /// The open elements at that place, e.g. `/order/items/item`; empty outside of the root.
    pub path: String,
}

impl std::error::Error for XmlError {}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, byte {}", self.kind, self.line, self.offset)?;
        if !self.path.is_empty() {
            write!(f, ", in {}", self.path)?;
        }
        f.write_str(")")
    }
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlErrorKind {
    /// It is not well-formed XML.
    #[error("the document is not well-formed XML: {0}")]
    Malformed(String),
    /// It has a document type declaration, which could define entities and point to other files.
    #[error("the document has a DOCTYPE; document type declarations are refused")]
    DtdRefused,
    /// It refers to an entity that is not predefined.
    #[error("the entity &{0}; is not known; only &lt; &gt; &amp; &apos; &quot; and character references are")]
    UnknownEntity(String),
    /// Its bytes are not text in the encoding that it says, or the encoding is not known.
    #[error("the document cannot be decoded: {0}")]
    Encoding(String),
    /// It exceeds a limit.
    #[error("{0}")]
    Limit(XmlLimit),
    /// A row lacks a value that it must have.
    #[error("row {line_no} has no value for column {column}")]
    MissingValue {
        /// The row's line number.
        line_no: u32,
        /// The target column.
        column: String,
    },
    /// A column whose value is multiplied for another one holds no decimal number, or one that is too long.
    #[error(
        "row {line_no}, column {column}: {text:?} cannot be multiplied, it is no decimal number of at most {MAX_DIGITS} digits"
    )]
    NotDecimal {
        /// The row's line number.
        line_no: u32,
        /// The target column that holds the text.
        column: String,
        /// The text, shortened.
        text: String,
    },
}

/// An error on its way up: the kind and the offset, before line and path are looked up.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: XmlErrorKind,
    pub(super) offset: usize,
}

impl Fault {
    pub(super) fn new(kind: XmlErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    pub(super) fn malformed(problem: impl Into<String>, offset: usize) -> Self {
        Self::new(XmlErrorKind::Malformed(problem.into()), offset)
    }

    /// Completes the error. `bytes` is what `offset` counts in, `names` are the open elements, outermost first.
    #[cold]
    pub(super) fn into_error(self, bytes: &[u8], names: &[&str]) -> XmlError {
        let before = &bytes[..self.offset.min(bytes.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        XmlError { kind: self.kind, offset: self.offset, line, path: path_of(names) }
    }
}

/// How much of a document's own text an error shows, in characters.
const SHOWN_CHARS: usize = 80;
/// How many levels of the element path an error shows, counted from the innermost.
const SHOWN_LEVELS: usize = 8;

/// Text of the document as an error shows it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn path_of(names: &[&str]) -> String {
    let hidden = names.len().saturating_sub(SHOWN_LEVELS);
    let mut path = if hidden > 0 { "…".to_owned() } else { String::new() };
    for name in &names[hidden..] {
        path.push('/');
        path.push_str(&shortened(name));
    }
    path
}
