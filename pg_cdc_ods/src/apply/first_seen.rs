//! When the key of a row was first seen, for targets that keep it: the earliest time of all its events.
//!
//! An event that came too late to change the row still counts, and so does one from before the key was deleted and came
//! again. So the time is the same whatever order events arrive in.

use std::collections::HashMap;

use cdc_core::{Plan, RowChange};
use pgrx::spi::SpiClient;

use super::arrays::parameter;
use super::column_list::ColumnList;
use super::guard::as_owner;
use super::row_memory::Memory;
use super::statements::times;
use super::stored_rows;
use super::targets::{FIRST_SOURCE_TS, Target};
use crate::sql_error::spi_failed;

/// The times of the changes of a round, to be told to rows that the changes themselves do not write.
pub(super) struct FirstSeen {
    /// Keys and times of changes that are older than the delete of their key.
    outlived: Vec<(Vec<u8>, Option<i64>)>,
}

const LOWER_TOMBSTONES: &str = "
    update cdc.tombstones t set first_source_ts = least(t.first_source_ts, e.first_ts at time zone 'UTC')
      from unnest($2::bytea[], $3::timestamp[]) as e(key, first_ts)
     where t.attachment_id = $1 and t.key = e.key";

impl FirstSeen {
    /// Tells the changes what is remembered of their keys, and keeps their times.
    pub(super) fn recall(
        target: &Target,
        round: &mut [RowChange<'_>],
        memory: &HashMap<Vec<u8>, Memory>,
    ) -> Self {
        let truncated_at = target.gone_before();
        let mut outlived = Vec::new();
        for change in round.iter_mut() {
            if truncated_at.is_some_and(|truncated_at| change.position <= *truncated_at) {
                // Its row is gone with the table, and with it what it knew.
                change.first_ts = None;
                continue;
            }
            let Some(memory) = memory.get(&change.key_bytes) else { continue };
            change.seen_at(memory.first_ts);
            if memory.deleted.as_ref().is_some_and(|deleted| change.position <= *deleted) {
                outlived.push((change.key_bytes.clone(), change.first_ts));
            }
        }
        Self { outlived }
    }

    /// Gives rows and tombstones the earlier times of changes that were not written: of `behind` those whose rows are newer.
    pub(super) fn lower(
        self,
        client: &mut SpiClient<'_>,
        target: &Target,
        plan: &Plan,
        behind: &[RowChange<'_>],
    ) {
        if !behind.is_empty() {
            lower_rows(target, plan, &behind.iter().collect::<Vec<_>>());
        }
        if self.outlived.is_empty() {
            return;
        }
        let (keys, first_ts): (Vec<_>, Vec<_>) = self.outlived.into_iter().unzip();
        let args = [
            target.attachment_id.into(),
            parameter("bytea", keys.into_iter().map(Some).collect()).datum,
            times(first_ts.into_iter()).datum,
        ];
        if let Err(error) = client.update(LOWER_TOMBSTONES, None, &args) {
            spi_failed("cannot write cdc.tombstones", &error);
        }
    }
}

fn lower_rows(target: &Target, plan: &Plan, behind: &[&RowChange<'_>]) {
    let mut list = ColumnList::default();
    let matches = list.push_key(plan, behind);
    let first_ts = times(behind.iter().map(|change| change.first_ts));
    let time = list.push(FIRST_SOURCE_TS, "timestamp at time zone 'UTC'", first_ts);
    let sql = format!(
        "update {} as t set {FIRST_SOURCE_TS} = {time} from {} where {} and {time} < t.{FIRST_SOURCE_TS}",
        target.name,
        list.rows(),
        matches.join(" and "),
    );
    as_owner(target, || list.execute(&sql));
}

/// What rows know of when their keys were first seen, in the order of the changes; microseconds since the Unix epoch.
pub(super) fn of_rows(target: &Target, plan: &Plan, changes: &[&RowChange<'_>]) -> Vec<Option<i64>> {
    let micros = format!("(extract(epoch from t.{FIRST_SOURCE_TS}) * 1000000)::bigint");
    stored_rows::of_rows(target, plan, changes, &micros)
}
