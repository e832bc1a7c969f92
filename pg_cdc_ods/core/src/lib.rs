//! Pure logic of pg_cdc_ods: from the bytes of a message to the row changes of a batch.
//!
//! This crate knows nothing of PostgreSQL and does no I/O, so that every rule can be tested without a server.
//! Data flows one way through it:
//!
//! ```text
//! bytes ──envelope──► Event ──plan──► RowChange ──fold──► one list of changes per key
//!              │                 │
//!          position            value, column_rule
//! ```

mod column_positions;
mod column_rule;
mod drift;
mod envelope;
mod fold;
mod json;
mod latency;
mod plan;
mod position;
mod reject;
mod source_table;
mod timestamp;
mod value;

pub use column_positions::{ColumnPositions, Merge, OverflowMerge, StoredRow, merge};
pub use column_rule::{ColumnRule, ColumnRuleError};
pub use drift::{ColumnDrift, Completeness, Drift, Kind, Kinds, SourceColumns};
pub use envelope::{Decoded, Event, Operation, Row, decode};
pub use fold::Fold;
pub use json::is_unavailable;
pub use latency::LatencyHistogram;
pub use plan::{Cell, ChangeKind, OnDelete, OnUnknown, Plan, PlanError, RowChange, TargetColumn};
pub use position::Position;
pub use reject::{ErrorType, Reject};
pub use source_table::SourceTable;
pub use timestamp::{PG_EPOCH_UNIX_MICROS, parse_date, parse_timestamp, parse_timestamptz};
pub use value::{ColumnType, Value, ValueError};
