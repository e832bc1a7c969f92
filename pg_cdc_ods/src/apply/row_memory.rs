//! What is known of the rows that changes concern: their positions, and what is remembered beside them, of deleted keys and
//! of columns where a row is not uniform.

use std::collections::HashMap;

use cdc_core::{ColumnPositions, Plan, Position, RowChange};
use pgrx::Json;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::arrays::{ArrayParameter, parameter, parameter_of};
use super::guard::as_owner;
use super::statements::{positions, times};
use super::stored_rows;
use super::targets::Target;
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// What is known of one key.
#[derive(Default)]
pub(super) struct Memory {
    /// The position of its row, if there is one.
    pub(super) row: Option<Position>,
    /// The position of its newest delete. May not be told for a change that is newer.
    pub(super) deleted: Option<Position>,
    /// The earliest time at which the key was seen before that delete, in microseconds since the Unix epoch.
    pub(super) first_ts: Option<i64>,
    /// The positions of its columns, if its row is not uniform.
    pub(super) columns: Option<ColumnPositions>,
}

/// What there is to recall of a source's rows: the position of the newest delete, and whether some are not uniform.
const MEMORY: &str = "
    select (select t.source_pos from cdc.tombstones t where t.attachment_id = $1 order by t.source_pos desc limit 1),
           exists (select from cdc.column_positions where attachment_id = $1)";

const RECALL_DELETES: &str = "
    select key, source_pos, (extract(epoch from first_source_ts) * 1000000)::bigint
      from cdc.tombstones where attachment_id = $1 and key = any ($2::bytea[])";

const RECALL_COLUMNS: &str = "
    select key, positions from cdc.column_positions where attachment_id = $1 and key = any ($2::bytea[])";

/// What is known of the keys of changes; keys of which nothing is known are left out.
pub(super) fn recall(
    client: &mut SpiClient<'_>,
    target: &Target,
    plan: &Plan,
    changes: &[RowChange<'_>],
) -> HashMap<Vec<u8>, Memory> {
    let all: Vec<_> = changes.iter().collect();
    let rows = as_owner(target, || stored_rows::positions(target, plan, &all));
    let known = all.iter().zip(rows).filter_map(|(change, row)| {
        let row = Some(row?);
        Some((change.key_bytes.clone(), Memory { row, ..Memory::default() }))
    });
    let mut known: HashMap<_, _> = known.collect();
    if let Err(error) = recall_beside(client, target, &all, &mut known) {
        spi_failed("cannot read cdc.tombstones and cdc.column_positions", &error);
    }
    known
}

/// Adds what is remembered beside the rows.
fn recall_beside(
    client: &mut SpiClient<'_>,
    target: &Target,
    changes: &[&RowChange<'_>],
    known: &mut HashMap<Vec<u8>, Memory>,
) -> spi::SpiResult<()> {
    let memory = plan_cache::update(client, MEMORY, &[target.attachment_id.into()])?;
    let (newest_delete, has_columns) = memory.two::<Vec<u8>, bool>()?;
    let newest_delete = newest_delete.map(|bytes| Position::from_bytes(&bytes));
    let deleted: Vec<_> = changes
        .iter()
        .copied()
        .filter(|change| may_be_deleted(target, known, change, newest_delete.as_ref()))
        .collect();
    if !deleted.is_empty() {
        let args = [target.attachment_id.into(), sorted_keys(&deleted).datum];
        for row in plan_cache::update(client, RECALL_DELETES, &args)?.iter() {
            let row = row.values::<3>();
            let memory = known.entry(row.bytes(1).unwrap_or_default().to_vec()).or_default();
            memory.deleted = row.bytes(2).map(Position::from_bytes);
            memory.first_ts = row.word(3);
        }
    }
    if has_columns == Some(true) {
        let args = [target.attachment_id.into(), sorted_keys(changes).datum];
        for row in plan_cache::update(client, RECALL_COLUMNS, &args)?.iter() {
            let row = row.values::<2>();
            let memory = known.entry(row.bytes(1).unwrap_or_default().to_vec()).or_default();
            memory.columns = row.text(2).and_then(|json| serde_json::from_str(json).ok());
        }
    }
    Ok(())
}

/// Whether what is remembered of a delete may matter to a change: not if it is newer than all deletes, or than its row,
/// which has come after any delete of its key.
fn may_be_deleted(
    target: &Target,
    known: &HashMap<Vec<u8>, Memory>,
    change: &RowChange<'_>,
    newest_delete: Option<&Position>,
) -> bool {
    let Some(newest_delete) = newest_delete else { return false };
    let row = known.get(&change.key_bytes).and_then(|memory| memory.row.as_ref());
    // A row without a position is not from an event, and may be there in spite of a delete.
    let is_newer_than_row = row.is_some_and(|row| !row.as_bytes().is_empty() && change.position > *row);
    !is_newer_than_row && (target.keeps_first_ts || change.position <= *newest_delete)
}

/// Keys in the order of an index, which finds sorted ones without sorting them itself.
fn sorted_keys(changes: &[&RowChange<'_>]) -> ArrayParameter {
    let mut keys: Vec<_> = changes.iter().map(|change| change.key_bytes.as_slice()).collect();
    keys.sort_unstable();
    parameter_of("bytea", keys.into_iter().map(Some))
}

const KEYS_WITH_COLUMNS: &str = "
    select key from cdc.column_positions where attachment_id = $1 and key > $2 order by key limit $3";

/// The keys of rows that are not uniform, those after `last`.
pub(super) fn keys_with_columns(
    client: &mut SpiClient<'_>,
    target: &Target,
    last: &[u8],
    limit: i64,
) -> Vec<Vec<u8>> {
    let args = [target.attachment_id.into(), last.to_vec().into(), limit.into()];
    let keys = client
        .update(KEYS_WITH_COLUMNS, None, &args)
        .and_then(|rows| rows.into_iter().map(|row| row.get(1).map(Option::unwrap_or_default)).collect());
    keys.unwrap_or_else(|error| spi_failed("cannot read cdc.column_positions", &error))
}

const REMEMBER_DELETES: &str = "
    insert into cdc.tombstones as t (attachment_id, key, source_pos, first_source_ts)
    select $1, e.key, e.source_pos, e.first_ts at time zone 'UTC'
      from unnest($2::bytea[], $3::bytea[], $4::timestamp[]) as e(key, source_pos, first_ts)
    on conflict (attachment_id, key) do update
       set source_pos = excluded.source_pos, deleted_at = excluded.deleted_at,
           first_source_ts = least(t.first_source_ts, excluded.first_source_ts)
     where excluded.source_pos > t.source_pos";

/// Remembers that keys were deleted, and when they were first seen: `first_ts_of_rows` is what their rows know of that,
/// in the order of the deletes.
pub(super) fn remember_deletes(
    client: &mut SpiClient<'_>,
    target: &Target,
    deletes: &[&RowChange<'_>],
    first_ts_of_rows: &[Option<i64>],
) {
    if deletes.is_empty() {
        return;
    }
    let first_ts = deletes.iter().enumerate().map(|(place, delete)| {
        let stored = first_ts_of_rows.get(place).copied().flatten();
        delete.first_ts.into_iter().chain(stored).min().filter(|_| target.keeps_first_ts)
    });
    let args = [
        target.attachment_id.into(),
        keys(deletes.iter().copied()).datum,
        positions(deletes).datum,
        times(first_ts).datum,
    ];
    if let Err(error) = plan_cache::update(client, REMEMBER_DELETES, &args) {
        spi_failed("cannot write cdc.tombstones", &error);
    }
}

const REMEMBER_COLUMNS: &str = "
    insert into cdc.column_positions as p (attachment_id, key, positions)
    select $1, e.key, e.positions::json from unnest($2::bytea[], $3::text[]) as e(key, positions)
    on conflict (attachment_id, key) do update set positions = excluded.positions";

const FORGET_COLUMNS: &str = "
    delete from cdc.column_positions where attachment_id = $1 and key = any ($2::bytea[])";

/// Remembers the positions of columns of rows that are not uniform, and forgets those of rows that are (`None`).
pub(super) fn remember_columns(
    client: &mut SpiClient<'_>,
    target: &Target,
    columns: &[(Vec<u8>, Option<ColumnPositions>)],
) {
    let (mut kept, mut json, mut uniform) = (Vec::new(), Vec::new(), Vec::new());
    for (key, positions) in columns {
        match positions.as_ref().and_then(|positions| serde_json::to_string(positions).ok()) {
            Some(text) => {
                kept.push(Some(key.clone()));
                json.push(Some(text));
            }
            None => uniform.push(Some(key.clone())),
        }
    }
    let mut write = || -> spi::Result<()> {
        if !kept.is_empty() {
            let args = [
                target.attachment_id.into(),
                parameter("bytea", std::mem::take(&mut kept)).datum,
                parameter("text", std::mem::take(&mut json)).datum,
            ];
            plan_cache::update(client, REMEMBER_COLUMNS, &args)?;
        }
        if !uniform.is_empty() {
            let args = [target.attachment_id.into(), parameter("bytea", std::mem::take(&mut uniform)).datum];
            plan_cache::update(client, FORGET_COLUMNS, &args)?;
        }
        Ok(())
    };
    if let Err(error) = write() {
        spi_failed("cannot write cdc.column_positions", &error);
    }
}

const READ_COLUMNS: &str = "select positions from cdc.column_positions where attachment_id = $1 and key = $2";

/// Remembers of one row, given by its key and position, that a column of it is older than any change.
pub(super) fn forget_column(client: &mut SpiClient<'_>, target: &Target, row: (&[u8], &Position, &str)) {
    let (key, position, column) = row;
    let known = client
        .select(READ_COLUMNS, Some(1), &[target.attachment_id.into(), key.into()])
        .and_then(|rows| if rows.is_empty() { Ok(None) } else { rows.first().get_one::<Json>() });
    let known = known.unwrap_or_else(|error| spi_failed("cannot read cdc.column_positions", &error));
    let known = known.and_then(|json| serde_json::from_value(json.0).ok());
    let positions = ColumnPositions::without(position.clone(), known, column);
    remember_columns(client, target, &[(key.to_vec(), Some(positions))]);
}

fn keys<'c, 'a: 'c>(changes: impl Iterator<Item = &'c RowChange<'a>>) -> ArrayParameter {
    parameter_of("bytea", changes.map(|change| Some(change.key_bytes.as_slice())))
}
