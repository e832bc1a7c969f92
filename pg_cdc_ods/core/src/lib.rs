//! Pure logic of pg_cdc_ods: from the bytes of a message to the row changes of a batch.
//!
//! This crate knows nothing of PostgreSQL and does no I/O, so that every rule can be tested without a server.
//! Data flows one way through it:
//!
//! ```text
//! bytes ──envelope──► Event ──plan──► RowChange ──fold──► one list of changes per key
//!              │                 │
//!      schema, position    value, column_rule
//! ```

mod aggregate;
mod column_positions;
mod column_rule;
mod drift;
mod enrichment;
mod envelope;
mod fold;
mod infer;
mod json;
mod key;
mod latency;
mod plan;
mod position;
mod recent;
mod reject;
mod row;
mod schema;
mod sketch;
mod source_table;
mod sql_name;
mod time;
mod topic_pattern;
mod trim;
mod unindexed_scan;
mod value;
mod xml;

pub use aggregate::Aggregate;
pub use column_positions::{ColumnPositions, Merge, OverflowMerge, StoredRow, merge};
pub use column_rule::{ColumnRule, ColumnRuleError};
pub use drift::{ColumnDrift, Completeness, Drift, Kind, Kinds, SourceColumns};
pub use enrichment::{
    DeclaredDependency, Dependency, DependencyError, Enrichment, KeyForm, Look, Policy, RowEvent,
};
pub use envelope::{
    BareRows, Control, DecodeSettings, Decoded, Decoder, Event, EventKey, Message, Operation, decode,
};
pub use fold::Fold;
pub use infer::{InferredColumn, Widening, infer_columns, infer_type, widen};
pub use json::{is_unavailable, push_quoted};
pub use latency::LatencyHistogram;
pub use plan::{Cell, ChangeKind, OnDelete, OnUnknown, Plan, PlanError, RowChange, TargetColumn};
pub use position::Position;
pub use reject::{ErrorType, Reject};
pub use row::{Field, Row};
pub use schema::{Meaning, Schema, SemanticType, Structured, TimeUnit};
pub use sketch::Sketch;
pub use source_table::SourceTable;
pub use sql_name::{quote_name, quote_text};
pub use time::{PG_EPOCH_UNIX_MICROS, parse_date, parse_timestamp};
pub use topic_pattern::TopicPattern;
pub use unindexed_scan::{UnindexedScan, unindexed_scans};
pub use value::{ColumnType, Value, ValueError};
pub use xml::{
    OnMalformed, XmlError, XmlErrorKind, XmlExtraction, XmlLimit, XmlLimits, XmlMapping, XmlMappingError,
    XmlRow, XmlTable,
};
