//! What a user configures: which elements are rows, where their columns are, and what happens if they are not.

use super::error::XmlError;
use super::limits::XmlLimits;
use super::path::{ColumnPath, RowPath};
use super::rows::XmlExtraction;
use super::{encoding, walk};

/// How rows are extracted from the documents of one column: a checked and compiled mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlMapping {
    /// The outermost first, each after its parent.
    pub(super) tables: Vec<XmlTable>,
    pub(super) on_malformed: OnMalformed,
}

/// One table of a mapping: the outermost rows, or rows nested in those of another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlTable {
    /// The name it has in the mapping; none for the outermost.
    pub(super) target: Option<String>,
    /// The place, in the list of tables, of the one whose rows these are nested in.
    pub(super) parent: Option<usize>,
    pub(super) row_path: RowPath,
    pub(super) columns: Vec<Column>,
}

/// What becomes of a document that cannot be extracted. The extraction reports the error; the caller acts on this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnMalformed {
    /// The document goes to the dead letters; the row that it stands in is applied.
    #[default]
    Dlq,
    /// The document is passed over; the row that it stands in is applied.
    Skip,
    /// The row that it stands in fails with it.
    Fail,
}

/// What becomes of a column whose path finds nothing in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum OnMissing {
    /// It is NULL.
    #[default]
    Null,
    /// It has the default that the mapping gives it; NULL if it gives none.
    Default,
    /// The document cannot be extracted.
    Fail,
}

/// One column of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// None for a column that always has its default.
    pub(super) path: Option<ColumnPath>,
    pub(super) missing: Missing,
}

/// [`OnMissing`] with what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    Null,
    Text(String),
    /// The product of other columns, by their places in the table. NULL if one of them is.
    Product(Vec<usize>),
    Fail,
}

impl OnMalformed {
    /// The policy by the name it has in a configuration: `dlq`, `skip` or `fail`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Dlq, Self::Skip, Self::Fail].into_iter().find(|policy| policy.as_str() == name)
    }

    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dlq => "dlq",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

impl OnMissing {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Null, Self::Default, Self::Fail].into_iter().find(|policy| policy.as_str() == name)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Default => "default",
            Self::Fail => "fail",
        }
    }
}

impl XmlTable {
    /// The target table as the mapping names it; `None` for the outermost, which is named beside the mapping.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The place, in [`XmlMapping::tables`], of the table whose rows these are nested in.
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// The names of the target's columns, in the order of the values of a row.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

impl XmlMapping {
    /// The tables that are filled: the outermost, then those nested in it, each after its parent.
    pub fn tables(&self) -> &[XmlTable] {
        &self.tables
    }

    /// What the caller does with a document that cannot be extracted.
    pub fn on_malformed(&self) -> OnMalformed {
        self.on_malformed
    }

    /// Extracts the rows of a document that is text already, such as a string in a JSON event; what it declares as its
    /// encoding no longer matters. A document of nothing but white space has no rows.
    ///
    /// # Errors
    /// [`XmlError`] says what is wrong, and where. There are no rows then: not those before the error either.
    pub fn extract(&self, document: &str, limits: &XmlLimits) -> Result<XmlExtraction, XmlError> {
        walk::extract(self, document.strip_prefix('\u{feff}').unwrap_or(document), limits)
    }

    /// Extracts the rows of a document in bytes, in the encoding of its byte order mark or its declaration.
    ///
    /// # Errors
    /// As [`extract`](Self::extract), and if the bytes are not text in that encoding.
    pub fn extract_bytes(&self, document: &[u8], limits: &XmlLimits) -> Result<XmlExtraction, XmlError> {
        let text =
            encoding::decode(document, limits.bytes).map_err(|fault| fault.into_error(document, &[]))?;
        walk::extract(self, &text, limits)
    }
}
