//! The statements that write child rows: those of a document replace those of the one before it.
//!
//! Rows that are the same as before are left alone, so that an update of an order that does not touch its document
//! costs no writes.

use cdc_core::{Plan, RowChange, Value};

use super::arrays::{self, parameter};
use super::column_list::{ColumnList, execute};
use super::extractions::{ChildTable, EXTRACTED_FROM, LINE_NO, PARENT_LINE_NO};
use super::statements::key_names;
use super::targets::Target;

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
    let last_lines: Vec<i64> =
        changes.iter().map(|change| rows(change).last().map_or(0, |row| row.line_no.into())).collect();
    remove_surplus(table, xml_column, plan, changes, last_lines);
    let lines: Vec<(&RowChange<'_>, &ChildRow)> =
        changes.iter().flat_map(|change| rows(change).iter().map(|row| (*change, row))).collect();
    if !lines.is_empty() {
        upsert(table, xml_column, plan, &lines);
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
    if table.has_extracted_from {
        // An element of each row, not one constant: by a constant alone the index would find the rows of all documents.
        let sources = changes.iter().map(|_| Some(xml_column)).collect();
        conditions.push(format!(
            "t.{EXTRACTED_FROM} = {}",
            list.push(EXTRACTED_FROM, "text", parameter("text", sources))
        ));
    }
    let sql = format!(
        "delete from {} as t using unnest({}) as e({}) where {}",
        table.name,
        list.parameters.join(", "),
        list.elements.join(", "),
        conditions.join(" and "),
    );
    execute(&sql, &list.datums);
}

/// Inserts rows, or updates those whose values differ.
fn upsert(table: &ChildTable, xml_column: &str, plan: &Plan, lines: &[(&RowChange<'_>, &ChildRow)]) {
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
    let assignments: Vec<_> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let of = |alias: &str| values.iter().map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "insert into {} as t ({}) select {} from unnest({}) as e({}) on conflict ({}) do update set {} \
         where ({}) is distinct from ({})",
        table.name,
        list.targets.join(", "),
        list.expressions.join(", "),
        list.parameters.join(", "),
        list.elements.join(", "),
        conflict.join(", "),
        assignments.join(", "),
        of("t"),
        of("excluded"),
    );
    execute(&sql, &list.datums);
}

/// Removes the rows of keys that have no row in the target any more.
pub(super) fn remove_orphans(target: &Target, table: &ChildTable, plan: &Plan, deletes: &[&RowChange<'_>]) {
    let mut list = ColumnList::default();
    let conditions = list.push_key(plan, deletes);
    let of_parent: Vec<_> = conditions.iter().map(|condition| condition.replacen("t.", "p.", 1)).collect();
    let sql = format!(
        "delete from {} as t using unnest({}) as e({}) where {} and not exists (select from {} as p where {})",
        table.name,
        list.parameters.join(", "),
        list.elements.join(", "),
        conditions.join(" and "),
        target.name,
        of_parent.join(" and "),
    );
    execute(&sql, &list.datums);
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
