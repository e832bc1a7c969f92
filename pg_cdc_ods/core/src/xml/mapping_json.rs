//! Reads a mapping from the JSON that a user writes, and names the part of it that is wrong.

use serde_json::{Map, Value as Json};

use super::mapping::{Column, Missing, OnMalformed, OnMissing, XmlMapping, XmlTable};
use super::path::{ColumnPath, Context, PathError, RowPath};

/// A mapping that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {problem}")]
pub struct XmlMappingError {
    /// The part that is wrong, e.g. `columns.product_id.path`.
    pub part: String,
    /// What is wrong with it, and what is expected.
    pub problem: String,
}

impl XmlMapping {
    /// Reads a mapping:
    ///
    /// ```json
    /// {
    ///   "row_path": ".//item",
    ///   "columns": {
    ///     "product_id": "@product_id",
    ///     "quantity": {"path": "@quantity", "default": "1"},
    ///     "unit_price": {"path": "price/text()", "on_missing": "fail"},
    ///     "subtotal": {"path": "@subtotal", "default": {"multiply": ["quantity", "unit_price"]}},
    ///     "order_item_tags": {"row_path": "tags/tag", "columns": {"tag": "text()"}}
    ///   },
    ///   "on_malformed": "dlq",
    ///   "on_missing": "null"
    /// }
    /// ```
    ///
    /// A column that is an object with a `row_path` is a table of nested rows, and its name that of the target. Both
    /// policies may be left out; nested tables take over `on_missing` if they have none of their own.
    ///
    /// # Errors
    /// [`XmlMappingError`] names the part that is wrong.
    pub fn from_json(json: &Json) -> Result<Self, XmlMappingError> {
        let fields = object(json, "mapping")?;
        only(fields, "", &["row_path", "columns", "on_malformed", "on_missing"])?;
        let on_malformed = match fields.get("on_malformed") {
            None => OnMalformed::default(),
            Some(name) => name
                .as_str()
                .and_then(OnMalformed::from_name)
                .ok_or_else(|| wrong("on_malformed", format!("{name} is not one of dlq, skip, fail")))?,
        };
        let mut tables = Vec::new();
        push_table(&mut tables, None, fields, "", OnMissing::default())?;
        Ok(Self { tables, on_malformed })
    }
}

/// Reads one table, and after it those nested in it. `part` is what its parts are named after: empty, or ending in `.`
fn push_table(
    tables: &mut Vec<XmlTable>,
    nested_in: Option<(usize, &str)>,
    fields: &Map<String, Json>,
    part: &str,
    inherited: OnMissing,
) -> Result<(), XmlMappingError> {
    let on_missing = on_missing(fields, part)?.unwrap_or(inherited);
    let context = if nested_in.is_some() { Context::Row } else { Context::Document };
    let row_path = required(fields, part, "row_path")?;
    let row_path = string(row_path, &format!("{part}row_path"))?;
    let row_path = RowPath::parse(row_path, context)
        .map_err(|error| in_path(format!("{part}row_path"), row_path, &error))?;
    let entries = object(required(fields, part, "columns")?, &format!("{part}columns"))?;
    let is_nested = |entry: &&Json| entry.get("row_path").is_some();
    let columns: Vec<_> = entries.iter().filter(|(_, entry)| !is_nested(entry)).collect();
    if columns.is_empty() {
        return Err(wrong(format!("{part}columns"), "at least one column is needed"));
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let columns = columns
        .into_iter()
        .map(|(name, entry)| column(name, entry, &format!("{part}columns.{name}"), on_missing, &names))
        .collect::<Result<_, _>>()?;
    let place = tables.len();
    let (parent, target) = nested_in.unzip();
    tables.push(XmlTable { target: target.map(str::to_owned), parent, row_path, columns });
    check_factors(&tables[place], part)?;
    for (target, entry) in entries.iter().filter(|(_, entry)| is_nested(entry)) {
        let nested = format!("{part}columns.{target}");
        let fields = object(entry, &nested)?;
        only(fields, &nested, &["row_path", "columns", "on_missing"])?;
        if tables.iter().any(|table| table.target() == Some(target)) {
            return Err(wrong(nested, "a table of this name is filled by another part of the mapping"));
        }
        push_table(tables, Some((place, target)), fields, &format!("{nested}."), on_missing)?;
    }
    Ok(())
}

fn column(
    name: &str,
    entry: &Json,
    part: &str,
    on_missing: OnMissing,
    names: &[&str],
) -> Result<Column, XmlMappingError> {
    let name = name.to_owned();
    let fields = match entry {
        Json::String(path) => {
            let missing = if on_missing == OnMissing::Fail { Missing::Fail } else { Missing::Null };
            return Ok(Column { name, path: Some(column_path(path, part)?), missing });
        }
        Json::Object(fields) => fields,
        _ => {
            let problem = format!(
                "{entry} is no column: expected a path, \
                 {{\"path\": \"@a\", \"default\": \"1\", \"on_missing\": \"null\"}}, \
                 or {{\"row_path\": \"a/b\", \"columns\": {{}}}}"
            );
            return Err(wrong(part, problem));
        }
    };
    only(fields, part, &["path", "default", "on_missing"])?;
    let path = match fields.get("path") {
        Some(path) => {
            let part = format!("{part}.path");
            Some(column_path(string(path, &part)?, &part)?)
        }
        None if fields.contains_key("default") => None,
        None => return Err(wrong(part, "a column needs a path, or a default that it always has")),
    };
    let missing = missing(fields, part, on_missing, names)?;
    Ok(Column { name, path, missing })
}

/// What an object of a column says about its absence. A default needs no policy beside it.
fn missing(
    fields: &Map<String, Json>,
    part: &str,
    inherited: OnMissing,
    names: &[&str],
) -> Result<Missing, XmlMappingError> {
    let own = on_missing(fields, &format!("{part}."))?;
    match (fields.get("default"), own) {
        (Some(default), None | Some(OnMissing::Default)) => default_value(default, part, names),
        (Some(_), Some(policy)) => {
            let problem = format!("{} never uses the default that the column has", policy.as_str());
            Err(wrong(format!("{part}.on_missing"), problem))
        }
        (None, Some(OnMissing::Default)) => {
            Err(wrong(format!("{part}.on_missing"), "the column has no default"))
        }
        (None, own) if own.unwrap_or(inherited) == OnMissing::Fail => Ok(Missing::Fail),
        (None, _) => Ok(Missing::Null),
    }
}

fn default_value(default: &Json, part: &str, names: &[&str]) -> Result<Missing, XmlMappingError> {
    let part = format!("{part}.default");
    match default {
        Json::String(text) => Ok(Missing::Text(text.clone())),
        Json::Number(_) | Json::Bool(_) => Ok(Missing::Text(default.to_string())),
        Json::Object(fields) => {
            only(fields, &part, &["multiply"])?;
            let part = format!("{part}.multiply");
            let factors = fields.get("multiply").and_then(Json::as_array).filter(|list| list.len() > 1);
            let factors = factors.ok_or_else(|| wrong(&part, "expected a list of two or more columns"))?;
            let place = |factor: &Json| {
                let place = names.iter().position(|name| factor.as_str() == Some(*name));
                place.ok_or_else(|| wrong(&part, format!("{factor} is not a column of this table")))
            };
            factors.iter().map(place).collect::<Result<_, _>>().map(Missing::Product)
        }
        _ => Err(wrong(
            part,
            format!("{default} is no default: expected text, a number, or {{\"multiply\": [\"a\", \"b\"]}}"),
        )),
    }
}

/// A factor that is a product itself could lead round in a circle.
fn check_factors(table: &XmlTable, part: &str) -> Result<(), XmlMappingError> {
    for column in &table.columns {
        let Missing::Product(factors) = &column.missing else { continue };
        let computed = factors
            .iter()
            .map(|at| &table.columns[*at])
            .find(|factor| matches!(factor.missing, Missing::Product(_)));
        if let Some(factor) = computed {
            let problem = format!("column {} is a product itself", factor.name);
            return Err(wrong(format!("{part}columns.{}.default.multiply", column.name), problem));
        }
    }
    Ok(())
}

fn on_missing(fields: &Map<String, Json>, part: &str) -> Result<Option<OnMissing>, XmlMappingError> {
    let Some(name) = fields.get("on_missing") else {
        return Ok(None);
    };
    let policy = name.as_str().and_then(OnMissing::from_name);
    let refuse = || wrong(format!("{part}on_missing"), format!("{name} is not one of null, default, fail"));
    policy.ok_or_else(refuse).map(Some)
}

fn column_path(text: &str, part: &str) -> Result<ColumnPath, XmlMappingError> {
    ColumnPath::parse(text).map_err(|error| in_path(part, text, &error))
}

fn wrong(part: impl Into<String>, problem: impl Into<String>) -> XmlMappingError {
    XmlMappingError { part: part.into(), problem: problem.into() }
}

fn in_path(part: impl Into<String>, text: &str, error: &PathError) -> XmlMappingError {
    wrong(part, format!("{text:?}, character {}: {}", error.place, error.problem))
}

fn required<'j>(fields: &'j Map<String, Json>, part: &str, name: &str) -> Result<&'j Json, XmlMappingError> {
    fields.get(name).ok_or_else(|| wrong(format!("{part}{name}"), "is missing"))
}

fn object<'j>(json: &'j Json, part: &str) -> Result<&'j Map<String, Json>, XmlMappingError> {
    json.as_object().ok_or_else(|| wrong(part, format!("{json} is not an object")))
}

fn string<'j>(json: &'j Json, part: &str) -> Result<&'j str, XmlMappingError> {
    json.as_str().ok_or_else(|| wrong(part, format!("{json} is not a string")))
}

/// Refuses fields that nobody reads: most are misspelt.
fn only(fields: &Map<String, Json>, part: &str, known: &[&str]) -> Result<(), XmlMappingError> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let part = if part.is_empty() { name.clone() } else { format!("{part}.{name}") };
            Err(wrong(part, format!("is not known; expected {}", known.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(mapping: Json) -> String {
        XmlMapping::from_json(&mapping).unwrap_err().to_string()
    }

    #[test]
    fn a_mapping_lists_its_tables_parents_first() {
        let mapping = XmlMapping::from_json(&json!({
            "row_path": "order",
            "columns": {
                "id": "@id",
                "items": {"row_path": "items/item", "columns": {
                    "sku": "@sku",
                    "tags": {"row_path": ".//tag", "columns": {"tag": "text()"}},
                }},
                "notes": {"row_path": "note", "columns": {"note": "text()"}},
            },
            "on_malformed": "skip",
        }))
        .unwrap();
        let tables: Vec<_> = mapping.tables().iter().map(|table| (table.target(), table.parent())).collect();
        let expected =
            [(None, None), (Some("items"), Some(0)), (Some("tags"), Some(1)), (Some("notes"), Some(0))];
        assert_eq!(tables, expected);
        assert_eq!(mapping.tables()[1].columns().collect::<Vec<_>>(), ["sku"]);
        assert_eq!(mapping.on_malformed(), OnMalformed::Skip);
    }

    #[test]
    fn policies_are_inherited_and_a_default_needs_none() {
        let mapping = XmlMapping::from_json(&json!({
            "row_path": ".//a",
            "columns": {
                "plain": "@a",
                "own": {"path": "@a", "on_missing": "null"},
                "given": {"path": "@a", "default": 1},
                "always": {"default": "x"},
                "product": {"path": "@a", "default": {"multiply": ["plain", "own"]}},
                "nested": {"row_path": "b", "columns": {"plain": "@a"}},
                "lenient": {"row_path": "c", "columns": {"plain": "@a"}, "on_missing": "default"},
            },
            "on_missing": "fail",
        }))
        .unwrap();
        let missing = |table: usize| {
            mapping.tables[table].columns.iter().map(|column| (column.name.as_str(), column.missing.clone()))
        };
        let expected = [
            ("always", Missing::Text("x".into())),
            ("given", Missing::Text("1".into())),
            ("own", Missing::Null),
            ("plain", Missing::Fail),
            ("product", Missing::Product(vec![3, 2])),
        ];
        assert_eq!(missing(0).collect::<Vec<_>>(), expected);
        assert_eq!(missing(1).collect::<Vec<_>>(), [("plain", Missing::Null)], "lenient");
        assert_eq!(missing(2).collect::<Vec<_>>(), [("plain", Missing::Fail)], "nested");
    }

    #[test]
    fn an_error_names_the_part_that_is_wrong() {
        let column = |column: Json| json!({"row_path": ".//a", "columns": {"b": "@b", "c": column}});
        for (mapping, expected) in [
            (json!([]), "mapping: [] is not an object"),
            (json!({"columns": {"b": "@b"}}), "row_path: is missing"),
            (json!({"row_path": ".//a"}), "columns: is missing"),
            (json!({"row_path": 1, "columns": {"b": "@b"}}), "row_path: 1 is not a string"),
            (json!({"row_path": "a[1]", "columns": {"b": "@b"}}), "row_path: \"a[1]\", character 2: "),
            (json!({"row_path": "a", "columns": {}}), "columns: at least one column"),
            (json!({"row_path": "a", "colums": {}}), "colums: is not known"),
            (
                json!({"row_path": "a", "columns": {"b": "@b"}, "on_malformed": "x"}),
                "on_malformed: \"x\" is not one of dlq",
            ),
            (
                json!({"row_path": "a", "columns": {"b": "@b"}, "on_missing": 1}),
                "on_missing: 1 is not one of null",
            ),
            (column(json!("@d e")), "columns.c: \"@d e\", character 3: "),
            (column(json!(null)), "columns.c: null is no column"),
            (column(json!({"path": "/x"})), "columns.c.path: \"/x\", character 1: "),
            (column(json!({})), "columns.c: a column needs a path"),
            (column(json!({"path": "@d", "deflt": 1})), "columns.c.deflt: is not known"),
            (column(json!({"path": "@d", "default": null})), "columns.c.default: null is no default"),
            (
                column(json!({"path": "@d", "on_missing": "default"})),
                "columns.c.on_missing: the column has no default",
            ),
            (
                column(json!({"path": "@d", "default": 1, "on_missing": "fail"})),
                "columns.c.on_missing: fail never",
            ),
            (
                column(json!({"default": {"multiply": ["b"]}})),
                "columns.c.default.multiply: expected a list of two",
            ),
            (
                column(json!({"default": {"multiply": ["b", "x"]}})),
                "columns.c.default.multiply: \"x\" is not a column",
            ),
            (
                column(json!({"default": {"multiply": ["b", "c"]}})),
                "columns.c.default.multiply: column c is a product",
            ),
            (
                column(json!({"row_path": "//d", "columns": {"e": "@e"}})),
                "columns.c.row_path: \"//d\", character 1: ",
            ),
            (column(json!({"row_path": "d", "columns": {"e": 1}})), "columns.c.columns.e: 1 is no column"),
            (
                column(json!({"row_path": "d", "columns": {"e": "@e"}, "on_malformed": "dlq"})),
                "columns.c.on_malformed: is not",
            ),
        ] {
            let found = error(mapping.clone());
            assert!(found.starts_with(expected), "{mapping}\n {found}");
        }
    }

    #[test]
    fn two_tables_of_a_mapping_cannot_have_one_target() {
        let tags = json!({"row_path": "tag", "columns": {"tag": "text()"}});
        let items = json!({"row_path": "item", "columns": {"sku": "@sku", "tags": tags.clone()}});
        let mapping = json!({"row_path": ".//order", "columns": {"id": "@id", "items": items, "tags": tags}});
        assert!(error(mapping).starts_with("columns.tags: a table of this name"));
    }
}
