//! The statements that write whole rows, or what changes have sent of them.
//!
//! `INSERT … ON CONFLICT` looks for each new row twice and has its insertion confirmed; that costs half as much again as a
//! plain INSERT. So rows that are known to be there are updated, others inserted, and ON CONFLICT is for the case that
//! somebody else has added or removed one meanwhile.

use cdc_core::{OverflowMerge, Plan, RowChange};

use super::arrays;
use super::column_list::ColumnList;
use super::statements::{extra_fields, key_names, positions, times};
use super::targets::{FIRST_SOURCE_TS, Target};

/// Changes that set the same columns, and what of their target it takes to write them.
pub(super) struct Upsert<'w> {
    pub(super) target: &'w Target,
    pub(super) plan: &'w Plan,
    /// The columns that are set.
    pub(super) mask: &'w [bool],
    /// What becomes of `extra_fields`.
    pub(super) overflow: &'w OverflowMerge,
}

impl Upsert<'_> {
    /// Inserts rows that are not there. Returns the rows written.
    pub(super) fn insert(&self, changes: &[&RowChange<'_>]) -> i64 {
        let list = self.columns(changes);
        list.execute(&self.insertion(&list))
    }

    /// Updates rows that are there; one that is newer stays. Returns the rows written.
    pub(super) fn update(&self, changes: &[&RowChange<'_>]) -> i64 {
        let list = self.columns(changes);
        let key = key_names(self.plan);
        let named = || list.targets.iter().zip(&list.expressions);
        let (matches, others): (Vec<_>, Vec<_>) = named().partition(|(name, _)| key.contains(name));
        let matches: Vec<_> = matches.iter().map(|(name, value)| format!("t.{name} = {value}")).collect();
        let assignments: Vec<_> = others.iter().map(|(name, value)| self.assignment(name, value)).collect();
        let sql = format!(
            "update {} as t set {}, processed_at = clock_timestamp() from {} \
             where {} and (t.source_pos is null or t.source_pos < {})",
            self.target.name,
            assignments.join(", "),
            list.rows(),
            matches.join(" and "),
            named().find(|(name, _)| *name == "source_pos").map_or("null", |(_, value)| value),
        );
        list.execute(&sql)
    }

    /// Inserts or updates rows, whether they are there or not; one that is newer stays. Returns the rows written.
    pub(super) fn insert_or_update(&self, changes: &[&RowChange<'_>]) -> i64 {
        let list = self.columns(changes);
        let key = key_names(self.plan);
        let others = list.targets.iter().filter(|name| !key.contains(name));
        let assignments: Vec<_> =
            others.map(|name| self.assignment(name, &format!("excluded.{name}"))).collect();
        let sql = format!(
            "{} on conflict ({}) do update set {}, processed_at = excluded.processed_at \
             where t.source_pos is null or t.source_pos < excluded.source_pos",
            self.insertion(&list),
            key.join(", "),
            assignments.join(", "),
        );
        list.execute(&sql)
    }

    fn insertion(&self, list: &ColumnList) -> String {
        format!(
            "insert into {} as t ({}, processed_at) select {}, clock_timestamp() from {}",
            self.target.name,
            list.targets.join(", "),
            list.expressions.join(", "),
            list.rows(),
        )
    }

    /// What an update makes of a column of the row `t` with a value that was sent.
    fn assignment(&self, name: &str, sent: &str) -> String {
        match name {
            "extra_fields" if *self.overflow == OverflowMerge::Add => {
                format!("{name} = coalesce(t.{name} || {sent}, t.{name}, {sent})")
            }
            FIRST_SOURCE_TS => format!("{name} = least(t.{name}, {sent})"),
            name => format!("{name} = {sent}"),
        }
    }

    fn columns(&self, changes: &[&RowChange<'_>]) -> ColumnList {
        let mut list = ColumnList::default();
        list.push_cells(self.plan, self.mask, changes);
        list.push("extra_fields", "jsonb", extra_fields(changes));
        let ops = changes.iter().map(|change| Some(change.op.as_str()));
        list.push("source_op", "text", arrays::parameter_of("text", ops));
        let source_ts = changes.iter().map(|change| change.source_ts);
        list.push("source_ts", "timestamp at time zone 'UTC'", times(source_ts));
        list.push("source_pos", "bytea", positions(changes));
        if self.target.keeps_first_ts {
            let first_ts = changes.iter().map(|change| change.first_ts);
            list.push(FIRST_SOURCE_TS, "timestamp at time zone 'UTC'", times(first_ts));
        }
        list
    }
}
