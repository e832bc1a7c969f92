//! The key of a message: which row it is about, also when the body does not say.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::reject::{ErrorType, Reject};
use crate::row::{Field, Row};
use crate::schema::SchemaCache;

/// The user properties that may hold the message key, the first that is there counts: Solace's Micro-Integrations,
/// then the names that bridges from Kafka use.
const KEY_PROPERTIES: [&str; 4] = ["cdc_key", "kafka_messageKey", "message_key", "key"];

/// The key of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKey<'a> {
    /// Key columns and their values.
    Columns(Row<'a>),
    /// One value without a name, as plain text.
    Scalar(String),
}

impl<'a> EventKey<'a> {
    /// The key in the user properties, if there is one.
    pub(super) fn read(
        properties: &'a Map<String, Value>,
        schemas: &mut SchemaCache<'a>,
    ) -> Result<Option<Self>, Reject> {
        let value = KEY_PROPERTIES.iter().find_map(|name| properties.get(*name));
        match value {
            Some(Value::String(text)) => Self::parse(text.trim(), schemas),
            Some(number @ Value::Number(_)) => Ok(Some(Self::Scalar(number.to_string()))),
            _ => Ok(None),
        }
    }

    /// Reads JSON, with or without a schema; what is not JSON is the value itself.
    fn parse(text: &'a str, schemas: &mut SchemaCache<'a>) -> Result<Option<Self>, Reject> {
        if !text.starts_with('{') {
            // Kafka Connect's own print of a struct cannot be read back.
            let is_key = !text.is_empty() && text != "null" && !text.starts_with("Struct{");
            return Ok(is_key.then(|| Self::scalar(text)));
        }
        let fields: Fields<'a> = serde_json::from_str(text).map_err(|error| {
            let message = format!("the message key is not a JSON object of columns: {error}");
            Reject::at(ErrorType::MalformedJson, "key", message)
        })?;
        match fields.get("payload") {
            Some(payload)
                if fields.0.iter().all(|(name, _)| matches!(name.as_ref(), "schema" | "payload")) =>
            {
                let mut key = Self::parse(payload, schemas)?;
                let schema = fields.get("schema").and_then(|text| schemas.get(text));
                if let (Some(Self::Columns(row)), Some(schema)) = (&mut key, schema) {
                    row.set_types(&schema);
                }
                Ok(key)
            }
            _ => {
                let columns = fields.0.into_iter().map(|(name, raw)| (name, Field::untyped(raw)));
                Ok(Some(Self::Columns(Row::new(columns.collect()))))
            }
        }
    }

    fn scalar(text: &str) -> Self {
        Self::Scalar(crate::json::string(text).map_or_else(|| text.to_owned(), Into::into))
    }
}
