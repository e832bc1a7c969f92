//! Reads a table of the preset as it really is, in the form of the model.

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::document::CHILD_TABLES;
use super::json::Json;
use super::preset::{TABLES, Table};
use super::{Children, Row, Rows};

/// Columns compared besides the table's own, after which they are selected.
const BOOKKEEPING: [&str; 2] = ["extra_fields", "source_op"];

/// Reads all rows of `table` (such as `cdc_orders`) through the search path of `client`.
///
/// The simple query protocol is used because it gives every value as PostgreSQL's output functions print it.
///
/// # Errors
/// If the preset has no such table, the query fails, or a value is not what its column promises.
pub async fn read_table(client: &Client, table: &str) -> anyhow::Result<Rows> {
    let table = TABLES
        .iter()
        .find(|known| known.name == table)
        .ok_or_else(|| anyhow::anyhow!("the preset has no table {table:?}"))?;
    let messages = client.simple_query(&query(table)).await?;
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row_of(table, row)),
            _ => None,
        })
        .collect()
}

/// Reads all rows of the child table `table` (such as `cdc_order_items_extracted`), in the same way.
///
/// # Errors
/// If the preset has no such child table, or the query fails.
pub async fn read_children(client: &Client, table: &str) -> anyhow::Result<Children> {
    let table = CHILD_TABLES
        .iter()
        .find(|known| known.name == table)
        .ok_or_else(|| anyhow::anyhow!("the preset has no child table {table:?}"))?;
    let values: Vec<String> =
        table.column_names().map(|name| format!("coalesce({name}::text, 'null')")).collect();
    let query = format!(
        "select concat({}, ' ', extracted_from, ' ', line_no, ': ', concat_ws(', ', {})) from {}",
        table.key,
        values.join(", "),
        table.name
    );
    Ok(client.query(&query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

fn query(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).chain(BOOKKEEPING).collect();
    format!("select {} from {}", columns.join(", "), table.name)
}

fn row_of(table: &Table, found: &SimpleQueryRow) -> anyhow::Result<(i64, Row)> {
    let mut columns = std::collections::BTreeMap::new();
    for column in table.columns {
        columns.insert(column.name.to_owned(), found.try_get(column.name)?.map(str::to_owned));
    }
    let key = found.try_get(table.columns[0].name)?.unwrap_or_default().parse()?;
    let extra_fields = match found.try_get("extra_fields")? {
        Some(text) => Json::parse(text)?,
        None => Json::empty_object(),
    };
    let source_op = found.try_get("source_op")?.unwrap_or_default().to_owned();
    Ok((key, Row { columns, extra_fields, source_op }))
}
