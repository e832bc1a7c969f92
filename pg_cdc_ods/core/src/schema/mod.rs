//! The `schema` part of a message, as Kafka Connect's JsonConverter writes it, and how rows get their types from it.
//!
//! A schema is many times as long as the row it describes, and the same in every event of a table. So a
//! [`SchemaCache`] reads each distinct text once for a batch.

mod semantic;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;

pub use semantic::{Meaning, SemanticType, Structured, TimeUnit};

/// A schema as it is written.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    type_name: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    optional: bool,
    #[serde(borrow, default)]
    field: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fields: Option<Vec<Written<'a>>>,
    #[serde(borrow, default)]
    items: Option<Box<Written<'a>>>,
    #[serde(borrow, default)]
    parameters: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
}

/// A schema: of a whole message, of a row, or of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// The name of the field, for a field of a struct.
    pub name: String,
    /// What the value means.
    pub semantic: SemanticType,
    /// Whether it may be null.
    pub is_optional: bool,
    /// The fields of a struct.
    pub fields: Vec<Schema>,
}

impl Schema {
    /// Reads the text of a schema; `None` if it is null or no schema, and rows are then read without.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Option<Written<'_>>>(text).ok().flatten().map(Self::from)
    }

    /// The schema of a field.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The schema of the row, if this is the schema of an envelope.
    pub(crate) fn into_row(mut self) -> Option<Self> {
        let place = |name: &str| self.fields.iter().position(|field| field.name == name);
        let place = place("after").or_else(|| place("before"))?;
        Some(self.fields.swap_remove(place))
    }

    /// What a column means. `place` is where it stands in its row: nearly always also its place in the schema.
    pub(crate) fn semantic_at(&self, place: usize, name: &str) -> SemanticType {
        let at_place = self.fields.get(place).filter(|field| field.name == name);
        at_place.or_else(|| self.field(name)).map_or(SemanticType::UNKNOWN, |field| field.semantic)
    }
}

impl From<Written<'_>> for Schema {
    fn from(written: Written<'_>) -> Self {
        let semantic = match &written.items {
            Some(items) if written.type_name == "array" && items.items.is_none() => {
                SemanticType::array(items.meaning())
            }
            _ => SemanticType::of(written.meaning()),
        };
        Self {
            name: written.field.unwrap_or_default().into_owned(),
            semantic,
            is_optional: written.optional,
            fields: written.fields.unwrap_or_default().into_iter().map(Self::from).collect(),
        }
    }
}

impl Written<'_> {
    fn meaning(&self) -> Meaning {
        let parameter = |name: &str| self.parameters.as_ref()?.get(name).map(AsRef::as_ref);
        let named = self.name.as_deref().and_then(|name| Meaning::from_name(name, parameter));
        named.unwrap_or_else(|| Meaning::from_type(&self.type_name))
    }
}

/// The schemas of a batch by their text.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache<'a> {
    by_text: HashMap<SchemaText<'a>, Option<Arc<Schema>>>,
    /// The schemas of rows, by the text of the schema of their envelope.
    rows: HashMap<SchemaText<'a>, Option<Arc<Schema>>>,
}

impl<'a> SchemaCache<'a> {
    /// The schema of this text, read at most once.
    pub(crate) fn get(&mut self, text: &'a str) -> Option<Arc<Schema>> {
        let read = || Schema::parse(text).map(Arc::new);
        self.by_text.entry(SchemaText(text)).or_insert_with(read).clone()
    }

    /// The schema of the row inside an envelope's, read at most once.
    pub(crate) fn row(&mut self, envelope: &'a str) -> Option<Arc<Schema>> {
        let read = || Schema::parse(envelope)?.into_row().map(Arc::new);
        self.rows.entry(SchemaText(envelope)).or_insert_with(read).clone()
    }
}

/// The text of a schema as a key. Its length and its end, where the name of the table stands, are all that is hashed:
/// it may have many kilobytes, and is compared as a whole anyway.
#[derive(Debug, PartialEq, Eq)]
struct SchemaText<'a>(&'a str);

impl Hash for SchemaText<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        const HASHED_BYTES: usize = 64;
        let bytes = self.0.as_bytes();
        state.write_usize(bytes.len());
        state.write(&bytes[bytes.len().saturating_sub(HASHED_BYTES)..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"type": "struct", "optional": true, "name": "s.T.Value", "fields": [
        {"type": "int64", "optional": false, "field": "ID"},
        {"type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
         "parameters": {"scale": "2", "connect.decimal.precision": "15"}, "field": "AMOUNT"},
        {"type": "array", "items": {"type": "string", "optional": true}, "optional": true, "field": "TAGS"}]}"#;

    #[test]
    fn a_row_knows_its_columns() {
        let schema = Schema::parse(ROW).unwrap();
        assert_eq!(schema.semantic_at(0, "ID"), SemanticType::of(Meaning::Int64));
        assert_eq!(schema.semantic_at(0, "AMOUNT"), SemanticType::of(Meaning::Decimal { scale: 2 }));
        assert_eq!(schema.semantic_at(2, "TAGS"), SemanticType::array(Meaning::String));
        assert_eq!(schema.semantic_at(3, "NEW"), SemanticType::UNKNOWN);
        assert!(!schema.fields[0].is_optional && schema.fields[1].is_optional);
    }

    #[test]
    fn a_decimal_without_its_scale_is_only_bytes() {
        let text = r#"{"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal"}"#;
        assert_eq!(Schema::parse(text).unwrap().semantic, SemanticType::of(Meaning::Bytes));
    }

    #[test]
    fn what_is_no_schema_is_none() {
        let deep = format!("{}{}", r#"{"items":"#.repeat(500), "}".repeat(500));
        for text in ["null", "1", "[]", r#"{"type": 1}"#, &deep] {
            assert_eq!(Schema::parse(text), None, "{text:.40}");
        }
    }

    #[test]
    fn each_text_is_read_once() {
        let mut cache = SchemaCache::default();
        let (first, second) = (cache.get(ROW).unwrap(), cache.get(ROW).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(cache.get("null"), None);
    }
}
