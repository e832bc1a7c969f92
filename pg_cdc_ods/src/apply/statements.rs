//! The statements that change parts of a target's rows, or remove them: one for all rows, with an array for each column.

use std::borrow::Cow;

use cdc_core::{ChangeKind, OverflowMerge, PG_EPOCH_UNIX_MICROS, Plan, Position, RowChange, push_quoted};
use pgrx::spi::quote_identifier;

use super::arrays::{self, ArrayParameter};
use super::column_list::{ColumnList, execute};
use super::targets::Target;

/// Fills columns of rows that are newer than their change as a whole; bookkeeping columns stay. Returns the rows
/// written.
pub(super) fn fill(
    target: &Target,
    plan: &Plan,
    mask: &[bool],
    overflow: &OverflowMerge,
    changes: &[&RowChange<'_>],
) -> i64 {
    let mut list = ColumnList::default();
    let matches = list.push_key(plan, changes);
    let first_cell = list.targets.len();
    let mask: Vec<bool> =
        mask.iter().enumerate().map(|(index, set)| *set && !plan.key().contains(&index)).collect();
    list.push_cells(plan, &mask, changes);
    let mut assignments: Vec<String> = list.targets[first_cell..]
        .iter()
        .zip(&list.expressions[first_cell..])
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let stored = match overflow {
        OverflowMerge::Retain(names) => {
            let kept = list.parameter(arrays::parameter_of("text", names.iter().map(Some)).datum);
            format!(
                "(select jsonb_object_agg(f.key, f.value) from jsonb_each(t.extra_fields) as f where f.key = any ({kept}))"
            )
        }
        OverflowMerge::Add | OverflowMerge::Replace => "t.extra_fields".to_owned(),
    };
    list.push("extra_fields", "jsonb", extra_fields(changes));
    let sent = list.expressions.last().map(String::as_str).unwrap_or_default();
    assignments.push(format!(
        "extra_fields = nullif(coalesce({stored}, '{{}}') || coalesce({sent}, '{{}}'), '{{}}')"
    ));
    let sql = format!(
        "update {} as t set {}, processed_at = clock_timestamp() from {} where {}",
        target.name,
        assignments.join(", "),
        list.rows(),
        matches.join(" and "),
    );
    list.execute(&sql)
}

/// Removes rows; one that is newer stays. Returns the rows removed.
pub(super) fn delete(target: &Target, plan: &Plan, changes: &[&RowChange<'_>]) -> i64 {
    let mut list = ColumnList::default();
    let matches = list.push_key(plan, changes);
    list.push("source_pos", "bytea", positions(changes));
    let sql = format!(
        "delete from {} as t using {} where {} and (t.source_pos is null or t.source_pos < {})",
        target.name,
        list.rows(),
        matches.join(" and "),
        list.expressions[list.expressions.len() - 1],
    );
    list.execute(&sql)
}

/// Removes all rows that are older than a position. Returns the rows removed.
pub(super) fn delete_older(target: &Target, position: &Position) -> i64 {
    let sql = format!("delete from {} where source_pos is null or source_pos < $1", target.name);
    execute(&sql, &[position.as_bytes().to_vec().into()])
}

/// Marks all rows that are older than a position as truncated. Their positions stay, so that an older change does not pass
/// for a newer one. Returns the rows marked.
pub(super) fn mark_truncated(target: &Target, position: &Position) -> i64 {
    let sql = format!(
        "update {} set source_op = 't', processed_at = clock_timestamp() \
         where (source_pos is null or source_pos < $1) and source_op is distinct from 't'",
        target.name
    );
    execute(&sql, &[position.as_bytes().to_vec().into()])
}

pub(super) fn key_names(plan: &Plan) -> Vec<String> {
    plan.key().iter().map(|index| quote_identifier(&plan.columns()[*index].name)).collect()
}

/// The overflow of each change; NULL for one that has none.
pub(super) fn extra_fields(changes: &[&RowChange<'_>]) -> ArrayParameter {
    let objects = changes.iter().map(|change| match &change.kind {
        ChangeKind::Upsert { overflow, .. } if !overflow.is_empty() => Some(object(overflow)),
        _ => None,
    });
    arrays::parameter_of("text", objects)
}

/// Times in microseconds since the Unix epoch, as `timestamp[]`.
pub(super) fn times(times: impl Iterator<Item = Option<i64>>) -> ArrayParameter {
    arrays::timestamps(times.map(|time| time.map(|micros| micros - PG_EPOCH_UNIX_MICROS)))
}

/// The positions of changes, as `bytea[]`.
pub(super) fn positions(changes: &[&RowChange<'_>]) -> ArrayParameter {
    arrays::parameter_of("bytea", changes.iter().map(|change| Some(change.position.as_bytes())))
}

/// The overflow columns as one JSON object.
fn object(overflow: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut json = String::from("{");
    for (index, (name, value)) in overflow.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_quoted(&mut json, name);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}
