//! How changed rows of a table map to the keys of an enriched table.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a change of a dimension's row does to the enriched rows that use it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All of them follow it.
    #[default]
    Refresh,
    /// Only those that still wait for it take its values; what a row once has, stays.
    Pending,
}

/// A dependency as a user declares it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredDependency {
    /// The table that is read.
    pub table: String,
    /// A query over the relation `changed`, which has the columns of the table and holds the rows before and after a
    /// change; it gives the keys that the change makes dirty.
    pub keys: String,
    /// The columns whose change matters; all if there are none.
    #[serde(default)]
    pub uses: Vec<String>,
    /// What a change does to rows that have values of the table.
    #[serde(default)]
    pub policy: Policy,
    /// The entry of the enriched table's column `missing` that says that a row waits for this table.
    #[serde(default)]
    pub part: Option<String>,
    /// With [`Policy::Pending`]: the columns of the enriched table that keep their values. With [`Policy::Refresh`]: the
    /// only ones that an update of a row alters; all if there are none.
    #[serde(default)]
    pub columns: Vec<String>,
    /// With [`Policy::Pending`]: the columns that say which row of the dimension is used; with another one the values
    /// are taken anew.
    #[serde(default)]
    pub reference: Vec<String>,
}

/// What is wrong with a list of dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DependencyError {
    /// It is not what it should be as JSON.
    #[error("{0}")]
    Json(String),
    /// There is none.
    #[error("name at least one table that the query reads")]
    Empty,
    /// A table is named twice.
    #[error("the table {0} is named twice")]
    Twice(String),
    /// `pending` without what it needs.
    #[error("the policy \"pending\" of {0} needs \"part\" and \"columns\"")]
    Incomplete(String),
    /// What only `pending` takes.
    #[error("\"reference\" of {0} goes with the policy \"pending\"")]
    Needless(String),
}

impl DeclaredDependency {
    /// Reads a list of dependencies.
    ///
    /// # Errors
    /// If it is no such list, or one of them contradicts itself.
    pub fn parse_list(json: serde_json::Value) -> Result<Vec<Self>, DependencyError> {
        let list: Vec<Self> =
            serde_json::from_value(json).map_err(|error| DependencyError::Json(error.to_string()))?;
        if list.is_empty() {
            return Err(DependencyError::Empty);
        }
        for (index, dependency) in list.iter().enumerate() {
            let table = || dependency.table.clone();
            if list[..index].iter().any(|other| other.table == dependency.table) {
                return Err(DependencyError::Twice(table()));
            }
            match dependency.policy {
                Policy::Pending if dependency.part.is_none() || dependency.columns.is_empty() => {
                    return Err(DependencyError::Incomplete(table()));
                }
                Policy::Refresh if !dependency.reference.is_empty() => {
                    return Err(DependencyError::Needless(table()));
                }
                Policy::Pending | Policy::Refresh => (),
            }
        }
        Ok(list)
    }
}

/// A dependency as it is stored: the table resolved, the SQL with full names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dependency {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// Columns that tell its rows apart; empty if it has no primary key.
    pub row_key: Vec<String>,
    /// As declared.
    pub keys: String,
    /// As declared.
    pub uses: Vec<String>,
    /// As declared.
    pub policy: Policy,
    /// As declared.
    pub part: Option<String>,
    /// As declared.
    pub columns: Vec<String>,
    /// As declared.
    pub reference: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dependency_needs_a_table_and_its_keys() {
        let list = DeclaredDependency::parse_list(json!([{"table": "t", "keys": "select id from changed"}]));
        let list = list.unwrap_or_default();
        assert_eq!((list[0].table.as_str(), list[0].policy), ("t", Policy::Refresh));
        for wrong in
            [json!([]), json!({}), json!([{"table": "t"}]), json!([{"table": "t", "keys": "", "key": 1}])]
        {
            assert!(DeclaredDependency::parse_list(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pending_dimension_names_its_part_and_what_it_keeps() {
        let parse = |json| DeclaredDependency::parse_list(json).map(drop);
        let whole = json!([{"table": "t", "keys": "k", "policy": "pending", "part": "p", "columns": ["c"]}]);
        assert_eq!(parse(whole), Ok(()));
        let no_part = json!([{"table": "t", "keys": "k", "policy": "pending", "columns": ["c"]}]);
        assert_eq!(parse(no_part), Err(DependencyError::Incomplete("t".into())));
        let refresh = json!([{"table": "t", "keys": "k", "reference": ["c"]}]);
        assert_eq!(parse(refresh), Err(DependencyError::Needless("t".into())));
    }
}
