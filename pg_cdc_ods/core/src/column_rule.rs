//! How the value of a target column is made from the columns of an event.
//!
//! Written in a configuration as JSON: `"CITY"` (that column), `["CITY", "REGION"]` (the first that was sent),
//! `{"join": ["FIRST_NAME", "LAST_NAME"], "separator": " "}`, `{"column": "STATUS", "equals": "ACTIVE"}`, and for events
//! without a schema `{"column": "PRICE", "semantic_type": "org.apache.kafka.connect.data.Decimal", "scale": 2}`. A
//! semantic type is one of Debezium's or Kafka Connect's, or `base64` or `hex` for bytes.

use serde_json::Value as Json;

use crate::schema::{Meaning, SemanticType};

/// The rule for one target column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnRule {
    /// The value of one source column.
    Column(String),
    /// The value of one source column, which has this meaning whatever its event says.
    Typed {
        /// The source column.
        column: String,
        /// What its value means.
        semantic: SemanticType,
    },
    /// The first of these rules whose columns were sent.
    FirstOf(Vec<ColumnRule>),
    /// The texts of the columns that are not null, with a separator between them.
    Join {
        /// The source columns, in order.
        columns: Vec<String>,
        /// What stands between two texts.
        separator: String,
    },
    /// Whether a source column has this text.
    Equals {
        /// The source column.
        column: String,
        /// The text it is compared with; numbers compare by their text.
        text: String,
    },
}

/// A rule that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no column rule: expected a column name, a list of rules, \
         {{\"join\": [\"A\", \"B\"], \"separator\": \" \"}}, {{\"column\": \"A\", \"equals\": \"text\"}} or \
         {{\"column\": \"A\", \"semantic_type\": \"io.debezium.time.MicroTimestamp\"}}"
)]
pub struct ColumnRuleError(String);

impl ColumnRule {
    /// Reads a rule from its JSON form.
    ///
    /// # Errors
    /// [`ColumnRuleError`] shows the part that is not understood.
    pub fn from_json(json: &Json) -> Result<Self, ColumnRuleError> {
        let refuse = || ColumnRuleError(json.to_string());
        match json {
            Json::String(column) if !column.is_empty() => Ok(Self::Column(column.clone())),
            Json::Array(rules) if !rules.is_empty() => {
                rules.iter().map(Self::from_json).collect::<Result<_, _>>().map(Self::FirstOf)
            }
            Json::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(Json::as_str).map(str::to_owned);
                if let Some(columns) = fields.get("join").and_then(Json::as_array) {
                    let columns = columns.iter().map(|column| column.as_str().map(str::to_owned));
                    let columns = columns.collect::<Option<Vec<_>>>().ok_or_else(refuse)?;
                    return Ok(Self::Join { columns, separator: text("separator").unwrap_or_default() });
                }
                let column = text("column").ok_or_else(refuse)?;
                if let Some(name) = text("semantic_type") {
                    let meaning = meaning(&name, fields).ok_or_else(refuse)?;
                    return Ok(Self::Typed { column, semantic: SemanticType::of(meaning) });
                }
                let text = match fields.get("equals").ok_or_else(refuse)? {
                    Json::String(text) => text.clone(),
                    number @ Json::Number(_) => number.to_string(),
                    _ => return Err(refuse()),
                };
                Ok(Self::Equals { column, text })
            }
            _ => Err(refuse()),
        }
    }
}

/// The meaning that a rule names; parameters of the type stand beside it.
fn meaning(name: &str, fields: &serde_json::Map<String, Json>) -> Option<Meaning> {
    match name {
        "base64" => Some(Meaning::Bytes),
        "hex" => Some(Meaning::HexBytes),
        _ => {
            let parameters = ["scale", "length"].map(|name| (name, fields.get(name).map(Json::to_string)));
            Meaning::from_name(name, |wanted| {
                parameters.iter().find(|(name, _)| *name == wanted).and_then(|(_, text)| text.as_deref())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_semantic_type_is_read_with_its_parameters() {
        let rule = |semantic_type: &str| {
            ColumnRule::from_json(&json!({"column": "A", "semantic_type": semantic_type, "scale": 2}))
        };
        let typed =
            |meaning| Ok(ColumnRule::Typed { column: "A".into(), semantic: SemanticType::of(meaning) });
        assert_eq!(rule("org.apache.kafka.connect.data.Decimal"), typed(Meaning::Decimal { scale: 2 }));
        assert_eq!(rule("hex"), typed(Meaning::HexBytes));
        assert!(rule("io.debezium.time.Unknown").is_err());
    }

    #[test]
    fn every_form_is_read() {
        let column = |name: &str| ColumnRule::Column(name.into());
        assert_eq!(ColumnRule::from_json(&json!("CITY")), Ok(column("CITY")));
        let first = ColumnRule::FirstOf(vec![column("CITY"), column("REGION")]);
        assert_eq!(ColumnRule::from_json(&json!(["CITY", "REGION"])), Ok(first));
        let join = ColumnRule::Join { columns: vec!["A".into(), "B".into()], separator: " ".into() };
        assert_eq!(ColumnRule::from_json(&json!({"join": ["A", "B"], "separator": " "})), Ok(join));
        let equals = ColumnRule::Equals { column: "IS_ACTIVE".into(), text: "1".into() };
        assert_eq!(ColumnRule::from_json(&json!({"column": "IS_ACTIVE", "equals": 1})), Ok(equals));
    }

    #[test]
    fn what_is_no_rule_is_shown() {
        for wrong in
            [json!(""), json!([]), json!(1), json!({"join": [1]}), json!({"column": "A"}), json!(null)]
        {
            let error = ColumnRule::from_json(&wrong).unwrap_err();
            assert!(error.to_string().starts_with(&wrong.to_string()), "{error}");
        }
    }
}
