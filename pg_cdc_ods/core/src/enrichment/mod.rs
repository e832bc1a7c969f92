//! Enriched tables: what a user declares, and the statements that keep such a table equal to its query.
//!
//! An enriched table has a key and a query that gives one row per key. A change of a table that the query reads makes
//! keys dirty ([`Dependency`] says which), and the query is run again for these keys alone, all at once.

mod dependency;
mod look;
mod statements;

pub use dependency::{DeclaredDependency, Dependency, DependencyError, Policy};
pub use look::Look;
pub use statements::{KeyForm, RowEvent};

use serde::Deserialize;

/// An enriched table, as it is stored. All SQL in it names its objects in full.
#[derive(Debug, Clone, Deserialize)]
pub struct Enrichment {
    /// The number of its configuration.
    pub enrichment_id: i32,
    /// The name it was given.
    pub name: String,
    /// The quoted name of the enriched table.
    pub target: String,
    /// The key column, in the table and in the query.
    pub key: String,
    /// The type of the key as SQL writes it, e.g. `bigint`.
    pub key_type: String,
    /// The quoted name of the collation of the table's key, by which keys are in order; `None` if their type has none.
    #[serde(default)]
    pub key_collation: Option<String>,
    /// The columns that the query gives, the key among them.
    pub columns: Vec<String>,
    /// The query.
    pub query: String,
    /// Whether the table has a column `processed_at` that the query does not give: it then says when a row was written.
    pub stamped: bool,
    /// The tables that the query reads.
    pub dependencies: Vec<Dependency>,
}
