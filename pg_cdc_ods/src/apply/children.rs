//! The statements that write child rows: those of a document replace those of the one before it.
//!
//! Rows that are the same as before are left alone, so that an update of an order that does not touch its document
//! costs no writes.

use std::collections::HashSet;

use cdc_core::{Plan, RowChange, Value};
use pgrx::prelude::*;

use super::arrays::{self, parameter};
use super::column_list::{ColumnList, execute};
use super::extractions::{ChildTable, EXTRACTED_FROM, LINE_NO, PARENT_LINE_NO};
use super::statements::key_names;
use super::stored_rows::IntegerKeys;
use super::targets::Target;
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// One row of a child table.
pub(super) struct ChildRow {
    /// Its place in the document, from 1.
    pub(super) line_no: u32,
    /// The place of the row that it is nested in.
    pub(super) parent_line_no: Option<u32>,
    /// The values of the mapped columns.
    pub(super) values: Vec<Value<'static>>,
}

/// Makes the rows of a table those that `rows` tells for each change.
pub(super) fn replace<'r>(
    table: &ChildTable,
    xml_column: &str,
    plan: &Plan,
    changes: &[&RowChange<'_>],
    rows: &dyn Fn(&RowChange<'_>) -> &'r [ChildRow],
) {
    let (known, new) = partition(table, xml_column, plan, changes);
    if !known.is_empty() {
        let last_lines: Vec<i64> =
            known.iter().map(|change| rows(change).last().map_or(0, |row| row.line_no.into())).collect();
        remove_surplus(table, xml_column, plan, &known, last_lines);
    }
    for (changes, may_conflict) in [(known, true), (new, false)] {
        let lines: Vec<(&RowChange<'_>, &ChildRow)> =
            changes.iter().flat_map(|change| rows(change).iter().map(|row| (*change, row))).collect();
        if !lines.is_empty() {
            write(table, xml_column, plan, &lines, may_conflict);
        }
    }
}

/// The changes whose documents have rows in the table, and those whose do not: theirs are written more simply.
fn partition<'c, 'a>(
    table: &ChildTable,
    xml_column: &str,
    plan: &Plan,
    changes: &[&'c RowChange<'a>],
) -> (Vec<&'c RowChange<'a>>, Vec<&'c RowChange<'a>>) {
    let known = match IntegerKeys::of(plan, changes) {
        Some(keys) => known_by_integer(table, xml_column, &keys),
        None => known_by_join(table, xml_column, plan, changes),
    };
    let known = known.unwrap_or_else(|error| spi_failed("cannot read a child table", &error));
    let placed = (0..).zip(changes.iter().copied());
    let (known, new): (Vec<_>, Vec<_>) = placed.partition(|(place, _)| known.contains(place));
    let changes = |placed: Vec<(usize, _)>| placed.into_iter().map(|(_, change)| change).collect();
    (changes(known), changes(new))
}

/// The places of the changes whose documents have rows in the table.
fn known_by_integer(
    table: &ChildTable,
    xml_column: &str,
    keys: &IntegerKeys,
) -> spi::SpiResult<HashSet<usize>> {
    let (key, mut datums) = (&keys.column, vec![keys.parameter()]);
    let mut sql =
        format!("select t.{key}::bigint from {} as t where t.{key} = any ($1::bigint[])", table.name);
    if table.has_extracted_from {
        sql.push_str(&format!(" and t.{EXTRACTED_FROM} = $2"));
        datums.push(xml_column.to_owned().into());
    }
    Spi::connect_mut(|client| {
        let rows = plan_cache::update(client, &sql, &datums)?;
        Ok(rows.iter().flat_map(|row| keys.places(row.values::<1>().word(1))).collect())
    })
}

/// The same for other keys.
fn known_by_join(
    table: &ChildTable,
    xml_column: &str,
    plan: &Plan,
    changes: &[&RowChange<'_>],
) -> spi::SpiResult<HashSet<usize>> {
    let mut list = ColumnList::default();
    let mut conditions = list.push_key(plan, changes);
    push_source(&mut list, &mut conditions, table, xml_column, changes.len());
    list.push_places(changes.len());
    let sql = format!(
        "select e.place from {} \
         cross join lateral (select from {} as t where {} limit 1) as found",
        list.rows(),
        table.name,
        conditions.join(" and "),
    );
    Spi::connect_mut(|client| {
        let rows = list.run(client, &sql)?;
        Ok(rows.iter().filter_map(|row| usize::try_from(row.values::<1>().word(1)?).ok()).collect())
    })
}

/// Adds the condition that rows are of documents in this column.
fn push_source(
    list: &mut ColumnList,
    conditions: &mut Vec<String>,
    table: &ChildTable,
    xml_column: &str,
    documents: usize,
) {
    if table.has_extracted_from {
        // An element of each row, not one constant: by a constant alone the index would find the rows of all documents.
        let sources = parameter("text", vec![Some(xml_column); documents]);
        conditions.push(format!("t.{EXTRACTED_FROM} = {}", list.push(EXTRACTED_FROM, "text", sources)));
    }
}

/// Removes the rows beyond the last line of each document.
fn remove_surplus(
    table: &ChildTable,
    xml_column: &str,
    plan: &Plan,
    changes: &[&RowChange<'_>],
    last_lines: Vec<i64>,
) {
    let mut list = ColumnList::default();
    let mut conditions = list.push_key(plan, changes);
    let last_lines = parameter("bigint", last_lines.into_iter().map(Some).collect());
    conditions.push(format!("t.{LINE_NO} > {}", list.push(LINE_NO, "bigint", last_lines)));
    push_source(&mut list, &mut conditions, table, xml_column, changes.len());
    let sql =
        format!("delete from {} as t using {} where {}", table.name, list.rows(), conditions.join(" and "),);
    list.execute(&sql);
}

/// Inserts rows; where some may be there already, updates those whose values differ.
fn write(
    table: &ChildTable,
    xml_column: &str,
    plan: &Plan,
    lines: &[(&RowChange<'_>, &ChildRow)],
    may_conflict: bool,
) {
    let mut list = ColumnList::default();
    let parents: Vec<&RowChange<'_>> = lines.iter().map(|(change, _)| *change).collect();
    list.push_key(plan, &parents);
    let line_nos = lines.iter().map(|(_, row)| Some(i64::from(row.line_no)));
    list.push(LINE_NO, "bigint", parameter("bigint", line_nos.collect()));
    let mut conflict = key_names(plan);
    conflict.push(LINE_NO.to_owned());
    let first_value = list.targets.len();
    for (index, (name, column_type)) in table.columns.iter().enumerate() {
        let values = lines.iter().map(|(_, row)| &row.values[index]);
        list.push_typed(name, column_type, arrays::array(column_type, values));
    }
    if table.has_parent_line_no {
        let parents = lines.iter().map(|(_, row)| row.parent_line_no.map(i64::from));
        list.push(PARENT_LINE_NO, "bigint", parameter("bigint", parents.collect()));
    }
    let values = list.targets[first_value..].to_vec();
    if table.has_extracted_from {
        list.push_constant(EXTRACTED_FROM, xml_column);
        conflict.push(EXTRACTED_FROM.to_owned());
    }
    let mut sql = format!(
        "insert into {} as t ({}) select {} from {}",
        table.name,
        list.targets.join(", "),
        list.expressions.join(", "),
        list.rows(),
    );
    if may_conflict {
        sql.push_str(&on_conflict(&conflict, &values));
    }
    list.execute(&sql);
}

fn on_conflict(conflict: &[String], values: &[String]) -> String {
    let assignments: Vec<_> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let of = |alias: &str| values.iter().map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ");
    format!(
        " on conflict ({}) do update set {} where ({}) is distinct from ({})",
        conflict.join(", "),
        assignments.join(", "),
        of("t"),
        of("excluded"),
    )
}

/// Removes the rows of keys that have no row in the target any more.
pub(super) fn remove_orphans(target: &Target, table: &ChildTable, plan: &Plan, deletes: &[&RowChange<'_>]) {
    let mut list = ColumnList::default();
    let conditions = list.push_key(plan, deletes);
    let of_parent: Vec<_> = conditions.iter().map(|condition| condition.replacen("t.", "p.", 1)).collect();
    let sql = format!(
        "delete from {} as t using {} where {} and not exists (select from {} as p where {})",
        table.name,
        list.rows(),
        conditions.join(" and "),
        target.name,
        of_parent.join(" and "),
    );
    list.execute(&sql);
}

/// Removes all rows whose keys have no row in the target any more.
pub(super) fn remove_all_orphans(target: &Target, table: &ChildTable, plan: &Plan) {
    let conditions: Vec<_> = key_names(plan).iter().map(|name| format!("p.{name} = t.{name}")).collect();
    let sql = format!(
        "delete from {} as t where not exists (select from {} as p where {})",
        table.name,
        target.name,
        conditions.join(" and "),
    );
    execute(&sql, &[]);
}
