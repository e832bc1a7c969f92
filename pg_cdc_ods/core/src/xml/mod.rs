//! Rows out of XML documents that stand in a column, in one pass over the document.
//!
//! An [`XmlMapping`] says which elements are rows and where their columns are; it is checked and compiled once, when
//! it is configured. Extraction is a walk with a pull reader: beside the rows, it remembers the open elements and no
//! others. Document type declarations are refused, so that nothing in a document can define an entity, point to
//! another file or grow.
//!
//! ```text
//! configuration ──mapping_json, path──► XmlMapping
//!                                           │
//! bytes ──encoding──► text ──walk──► collect──► XmlExtraction
//! ```
//!
//! What a user writes, and every rule of it, is in `docs/xml.md`.

mod attribute;
mod collect;
mod decimal;
mod encoding;
mod error;
mod limits;
mod mapping;
mod mapping_json;
mod path;
mod rows;
mod text;
mod walk;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use error::{XmlError, XmlErrorKind};
pub use limits::{XmlLimit, XmlLimits};
pub use mapping::{OnMalformed, XmlMapping, XmlTable};
pub use mapping_json::XmlMappingError;
pub use rows::{XmlExtraction, XmlRow};
