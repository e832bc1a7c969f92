//! The XML extractions of a target as the apply path needs them: mappings, child tables with their types, rights.

use std::collections::HashMap;

use cdc_core::{ColumnType, OnMalformed, XmlMapping};
use pgrx::spi::SpiClient;
use pgrx::{JsonB, pg_sys};

use crate::plan_cache;
use crate::sql_error::spi_failed;

/// The columns of child tables that the extraction itself fills, beside the key of the parent and the mapped columns:
/// the row's place in the document,
pub(crate) const LINE_NO: &str = "line_no";
/// the place of the row that it is nested in, if the table has this column,
pub(crate) const PARENT_LINE_NO: &str = "parent_line_no";
/// and the source column of the document, if the table has this column.
pub(crate) const EXTRACTED_FROM: &str = "extracted_from";

/// An extraction: the documents of one source column, and the child tables that their rows go to.
pub(crate) struct Extraction {
    /// The source column that holds the document.
    pub(crate) xml_column: String,
    /// The role whose rights child rows are written with.
    pub(crate) owner: pg_sys::Oid,
    mapping: XmlMapping,
    children: Result<Vec<ChildTable>, String>,
}

/// A child table.
pub(crate) struct ChildTable {
    /// The quoted name.
    pub(crate) name: String,
    /// The mapped columns with their types, in the order of the mapping.
    pub(crate) columns: Vec<(String, ColumnType)>,
    pub(crate) has_extracted_from: bool,
    pub(crate) has_parent_line_no: bool,
}

impl Extraction {
    /// How rows are found in a document.
    pub(crate) fn mapping(&self) -> &XmlMapping {
        &self.mapping
    }

    /// What becomes of a document that cannot be extracted.
    pub(crate) fn on_malformed(&self) -> OnMalformed {
        self.mapping.on_malformed()
    }

    /// The child tables in the order of the mapping's tables, or why there are none: one is missing, or lacks a column.
    pub(crate) fn children(&self) -> Result<&[ChildTable], &str> {
        self.children.as_deref().map_err(String::as_str)
    }
}

const EXTRACTIONS: &str = "
    select x.attachment_id, x.xml_column, x.mapping, x.owner::oid, x.tables,
           (select jsonb_agg(coalesce(c.columns, '{}') order by t.place)
              from unnest(x.tables) with ordinality as t(name, place)
              left join lateral (
                select jsonb_object_agg(a.attname, format_type(a.atttypid, null)) as columns
                  from pg_catalog.pg_attribute a
                 where a.attrelid = to_regclass(t.name) and a.attnum > 0 and not a.attisdropped
              ) c on true)
      from cdc.xml_extractions x
     order by x.extraction_id";

/// All extractions, by attachment.
pub(crate) fn load(client: &mut SpiClient<'_>) -> HashMap<i32, Vec<Extraction>> {
    let load = plan_cache::update(client, EXTRACTIONS, &[]).and_then(|rows| {
        let mut by_attachment: HashMap<i32, Vec<Extraction>> = HashMap::new();
        for row in rows.iter() {
            let json = |ordinal| {
                row.get::<JsonB>(ordinal).map(|json| json.map_or(serde_json::Value::Null, |json| json.0))
            };
            // It was checked when it was configured.
            let Ok(mapping) = XmlMapping::from_json(&json(3)?) else { continue };
            let names: Vec<String> = row.get(5)?.unwrap_or_default();
            let types: Vec<HashMap<String, String>> = serde_json::from_value(json(6)?).unwrap_or_default();
            by_attachment.entry(row.get(1)?.unwrap_or_default()).or_default().push(Extraction {
                xml_column: row.get(2)?.unwrap_or_default(),
                owner: row.get(4)?.unwrap_or(pg_sys::InvalidOid),
                children: child_tables(&mapping, names, &types),
                mapping,
            });
        }
        Ok(by_attachment)
    });
    load.unwrap_or_else(|error| spi_failed("cannot read cdc.xml_extractions", &error))
}

fn child_tables(
    mapping: &XmlMapping,
    names: Vec<String>,
    types: &[HashMap<String, String>],
) -> Result<Vec<ChildTable>, String> {
    mapping
        .tables()
        .iter()
        .zip(names)
        .zip(types)
        .map(|((table, name), types)| {
            if types.is_empty() {
                return Err(format!("the child table {name} does not exist"));
            }
            let of_column = |column: &str| {
                let found = types.get(column).map(|type_name| ColumnType::from_sql_name(type_name));
                found.ok_or_else(|| format!("the child table {name} has no column {column}"))
            };
            of_column(LINE_NO)?;
            Ok(ChildTable {
                columns: table
                    .columns()
                    .map(|column| Ok((column.to_owned(), of_column(column)?)))
                    .collect::<Result<_, String>>()?,
                has_extracted_from: types.contains_key(EXTRACTED_FROM),
                has_parent_line_no: types.contains_key(PARENT_LINE_NO),
                name,
            })
        })
        .collect()
}
