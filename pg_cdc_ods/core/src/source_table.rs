//! The name of a table at the source, e.g. `ECOM.ORDERS`.

use std::fmt;
use std::sync::Arc;

/// A table at the source: schema and name, spelled as the source spells them. A copy costs next to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceTable(Arc<Names>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Names {
    schema: String,
    table: String,
}

impl SourceTable {
    /// In a configuration, the schema that stands for any schema.
    pub const ANY_SCHEMA: &'static str = "*";

    /// Makes a name from its two parts.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self(Arc::new(Names { schema: schema.into(), table: table.into() }))
    }

    /// The schema (for sources without schemas, the database).
    pub fn schema(&self) -> &str {
        &self.0.schema
    }

    /// The table.
    pub fn table(&self) -> &str {
        &self.0.table
    }

    /// Reads `SCHEMA.TABLE`, `*.TABLE` or `TABLE` (any schema) as it is written in a configuration.
    ///
    /// Returns `None` when a part is empty or there are more than two.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, table) = text.split_once('.').unwrap_or((Self::ANY_SCHEMA, text));
        let valid = !schema.is_empty() && !table.is_empty() && !table.contains('.');
        valid.then(|| Self::new(schema, table))
    }

    /// Takes schema and table from a topic of the form `…/{schema}/{table}/{operation}`.
    pub fn from_topic(topic: &str) -> Option<Self> {
        let (schema, table) = Self::names_in_topic(topic)?;
        Some(Self::new(schema, table))
    }

    /// The two parts as they stand in a topic.
    pub(crate) fn names_in_topic(topic: &str) -> Option<(&str, &str)> {
        let mut levels = topic.rsplit('/');
        let _operation = levels.next()?;
        let table = levels.next().filter(|level| !level.is_empty())?;
        let schema = levels.next().filter(|level| !level.is_empty())?;
        Some((schema, table))
    }
}

impl fmt::Display for SourceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema(), self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_name_has_one_or_two_parts() {
        assert_eq!(SourceTable::parse("ECOM.ORDERS"), Some(SourceTable::new("ECOM", "ORDERS")));
        assert_eq!(SourceTable::parse("*.ORDERS"), Some(SourceTable::new("*", "ORDERS")));
        assert_eq!(SourceTable::parse("ORDERS"), Some(SourceTable::new("*", "ORDERS")));
        for wrong in ["", ".", "A.", ".B", "A.B.C"] {
            assert_eq!(SourceTable::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_topic_names_schema_and_table_before_its_operation() {
        let table = SourceTable::from_topic("cdc/oracle/SALES/ORDERS/insert");
        assert_eq!(table, Some(SourceTable::new("SALES", "ORDERS")));
        assert_eq!(SourceTable::from_topic("ORDERS/insert"), None);
        assert_eq!(SourceTable::from_topic("a//ORDERS/insert"), None);
        assert_eq!(SourceTable::from_topic(""), None);
    }
}
