//! `cdc.extract_xml()`: which XML column of a source feeds which child tables.

use cdc_core::{SourceTable, XmlMapping};
use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier, quote_qualified_identifier};
use serde_json::json;

use crate::apply::{EXTRACTED_FROM, LINE_NO, PARENT_LINE_NO};
use crate::attach::Table;
use crate::sql_error::{invalid, raise, spi_failed};

/// The attachment whose rows the documents stand in.
struct Parent {
    attachment_id: i32,
    table: Table,
    key: Vec<String>,
}

const FIND_PARENT: &str = "
    select attachment_id, format('%I.%I', target_schema, target_table), key
      from cdc.attachments where source_schema = $1 and source_table = $2";

const SAVE: &str = "
    insert into cdc.xml_extractions as x (attachment_id, xml_column, tables, mapping, owner)
    values ($1, $2, $3, $4, (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (attachment_id, xml_column) do update
       set tables = excluded.tables, mapping = excluded.mapping, owner = excluded.owner
    returning extraction_id";

#[pg_extern]
fn extract_xml(
    source: &str,
    xml_column: &str,
    target: &str,
    row_path: &str,
    columns: JsonB,
    on_malformed: default!(&str, "'dlq'"),
    on_missing: default!(&str, "'null'"),
) -> i32 {
    let mapping = json!({
        "row_path": row_path, "columns": columns.0, "on_malformed": on_malformed, "on_missing": on_missing
    });
    let parsed = XmlMapping::from_json(&mapping).unwrap_or_else(|error| {
        let hint = format!("{}.", error.problem);
        invalid(error.part.split('.').next().unwrap_or_default(), &error.part, &hint)
    });
    Spi::connect_mut(|client| {
        let parent = Parent::find(client, source);
        let mut tables = Vec::new();
        for mapped in parsed.tables() {
            let name = mapped.target().unwrap_or(target);
            let columns: Vec<String> = mapped.columns().map(str::to_owned).collect();
            tables.push(parent.child_table(client, name, &columns, mapped.parent().is_some()));
        }
        let args = [parent.attachment_id.into(), xml_column.into(), tables.into(), JsonB(mapping).into()];
        let saved = client.update(SAVE, None, &args).and_then(|row| row.first().get_one::<i32>());
        saved
            .unwrap_or_else(|error| spi_failed("cannot write cdc.xml_extractions", &error))
            .unwrap_or_default()
    })
}

const REMOVE: &str = "
    delete from cdc.xml_extractions x using cdc.attachments a
     where a.attachment_id = x.attachment_id and a.source_schema = $1 and a.source_table = $2 and x.xml_column = $3";

#[pg_extern]
fn drop_xml(source: &str, xml_column: &str) {
    let table = parse_source(source);
    let args = [table.schema().into(), table.table().into(), xml_column.into()];
    match Spi::connect_mut(|client| client.update(REMOVE, None, &args).map(|rows| rows.len())) {
        Ok(0) => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("nothing is extracted from column {xml_column} of {table}"),
            "See cdc.xml_extractions for what is extracted.",
        ),
        Ok(_) => (),
        Err(error) => spi_failed("cannot write cdc.xml_extractions", &error),
    }
}

fn parse_source(source: &str) -> SourceTable {
    SourceTable::parse(source).unwrap_or_else(|| {
        invalid("source", source, "Write it as in cdc.attachments: SCHEMA.TABLE or *.TABLE.")
    })
}

impl Parent {
    fn find(client: &mut SpiClient<'_>, source: &str) -> Self {
        let name = parse_source(source);
        let args = [name.schema().into(), name.table().into()];
        let found = client.select(FIND_PARENT, Some(1), &args).and_then(|rows| {
            let row = rows.first();
            if row.is_empty() {
                return Ok(None);
            }
            Ok(row.get::<i32>(1)?.zip(row.get::<String>(2)?).zip(row.get::<Vec<String>>(3)?))
        });
        match found {
            Ok(Some(((attachment_id, target), key))) => {
                let table = Table::find(client, "source", &target);
                Self { attachment_id, table, key }
            }
            Ok(None) => invalid("source", source, "Attach it to a target first: cdc.attach()."),
            Err(error) => spi_failed("cannot read cdc.attachments", &error),
        }
    }

    /// Checks that a child table has what it needs, or creates it; returns its quoted name.
    fn child_table(
        &self,
        client: &mut SpiClient<'_>,
        name: &str,
        columns: &[String],
        is_nested: bool,
    ) -> String {
        let reserved = [LINE_NO, PARENT_LINE_NO, EXTRACTED_FROM];
        let is_reserved =
            |column: &&String| reserved.contains(&column.as_str()) || self.key.contains(*column);
        if let Some(column) = columns.iter().find(is_reserved) {
            invalid("columns", column, "The extraction itself fills this column; choose another name.");
        }
        let Some(table) = Table::try_find(client, name) else {
            return self.create_child_table(client, name, columns, is_nested);
        };
        table.check_rights(client);
        let mut key = self.key.clone();
        key.push(LINE_NO.to_owned());
        if let Some(missing) = key.iter().chain(columns).find(|column| !table.columns.contains(column)) {
            let hint = format!("The child table {} needs a column of this name.", table.quoted());
            invalid("columns", missing, &hint);
        }
        if table.columns.iter().any(|column| column == EXTRACTED_FROM) {
            key.push(EXTRACTED_FROM.to_owned());
        }
        table.check_unique_index(client, "target", &key);
        table.quoted()
    }

    /// Creates a child table: the parent's key, the line, and the mapped columns as text.
    fn create_child_table(
        &self,
        client: &mut SpiClient<'_>,
        name: &str,
        columns: &[String],
        is_nested: bool,
    ) -> String {
        let (schema, table) = Table::parse(client, name);
        let quoted = quote_qualified_identifier(schema, table);
        let key: Vec<String> = self.key.iter().map(quote_identifier).collect();
        let mut definitions: Vec<String> = self.table.definitions(client, &self.key);
        definitions.push(format!("{LINE_NO} integer"));
        if is_nested {
            definitions.push(format!("{PARENT_LINE_NO} integer"));
        }
        definitions.extend(columns.iter().map(|column| format!("{} text", quote_identifier(column))));
        definitions.push(format!("{EXTRACTED_FROM} text"));
        let sql = format!(
            "create table {quoted} ({}, primary key ({}, {EXTRACTED_FROM}, {LINE_NO}))",
            definitions.join(", "),
            key.join(", "),
        );
        if let Err(error) = client.update(&sql, None, &[]) {
            spi_failed("cannot create the child table", &error);
        }
        quoted
    }
}
