//! The rows that a document gives.

/// The rows of one document, for each table of the mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XmlExtraction {
    /// In the order of [`XmlMapping::tables`](super::XmlMapping::tables); the rows in the order of their start tags.
    pub tables: Vec<Vec<XmlRow>>,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlRow {
    /// The row's place among the rows of its table in this document, from 1; with nested tables too it counts on from
    /// one parent to the next, so that it is a key by itself.
    pub line_no: u32,
    /// The [`line_no`](Self::line_no) of the row that it is nested in; `None` in the outermost table.
    pub parent_line_no: Option<u32>,
    /// The values in the order of [`XmlTable::columns`](super::XmlTable::columns), as text; `None` is NULL.
    pub values: Vec<Option<String>>,
}
