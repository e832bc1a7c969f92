//! What is stored of the rows that changes concern.

use cdc_core::{ColumnType, Plan, Position, RowChange, Value};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier};

use super::arrays::parameter;
use super::column_list::ColumnList;
use super::targets::Target;
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// So few keys are looked up without asking for the largest one first.
const FEW_KEYS: usize = 20;

/// The keys of changes where they are one integer, which is most often so: such keys need no join, and are looked up in the
/// order of the index.
pub(super) struct IntegerKeys {
    /// The quoted name of the column.
    pub(super) column: String,
    /// The keys in their order, with the places of their changes.
    sorted: Vec<(i64, usize)>,
}

impl IntegerKeys {
    /// `None` for other keys.
    pub(super) fn of(plan: &Plan, changes: &[&RowChange<'_>]) -> Option<Self> {
        let [key] = plan.key() else { return None };
        let key = &plan.columns()[*key];
        if !matches!(key.column_type, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8) {
            return None;
        }
        let integer = |change: &&RowChange<'_>| match change.key.as_slice() {
            [Value::Int(key)] => Some(*key),
            _ => None,
        };
        let integers = changes.iter().zip(0..).map(|(change, place)| Some((integer(change)?, place)));
        let mut sorted = integers.collect::<Option<Vec<_>>>()?;
        sorted.sort_unstable();
        Some(Self { column: quote_identifier(&key.name), sorted })
    }

    /// The keys as `bigint[]`.
    pub(super) fn parameter(&self) -> DatumWithOid<'static> {
        Self::array(&self.sorted)
    }

    /// The same up to the largest key of a table, which has an index on it: new keys are mostly larger than all before.
    fn parameter_up_to_last(
        &self,
        client: &mut SpiClient<'_>,
        table: &str,
    ) -> spi::SpiResult<DatumWithOid<'static>> {
        if self.sorted.len() <= FEW_KEYS {
            return Ok(self.parameter());
        }
        let sql = format!("select max(t.{})::bigint from {table} as t", self.column);
        let last: Option<i64> = plan_cache::update(client, &sql, &[])?.one()?;
        let end = self.sorted.partition_point(|(key, _)| Some(*key) <= last);
        Ok(Self::array(&self.sorted[..end]))
    }

    fn array(sorted: &[(i64, usize)]) -> DatumWithOid<'static> {
        parameter("bigint", sorted.iter().map(|(key, _)| Some(*key)).collect()).datum
    }

    /// The places of the changes of a key.
    pub(super) fn places(&self, key: Option<i64>) -> impl Iterator<Item = usize> {
        let first = self.sorted.partition_point(|(sorted, _)| Some(*sorted) < key);
        self.sorted[first..].iter().take_while(move |(same, _)| Some(*same) == key).map(|(_, place)| *place)
    }
}

/// The positions of the rows that changes concern, in the order of the changes; `None` where there is no row.
pub(super) fn positions(target: &Target, plan: &Plan, changes: &[&RowChange<'_>]) -> Vec<Option<Position>> {
    if let Some(keys) = IntegerKeys::of(plan, changes) {
        return positions_by_integer(target, &keys, changes.len());
    }
    let found = of_rows::<Vec<u8>>(target, plan, changes, "coalesce(t.source_pos, '')");
    found.into_iter().map(|bytes| bytes.map(|bytes| Position::from_bytes(&bytes))).collect()
}

fn positions_by_integer(target: &Target, keys: &IntegerKeys, changes: usize) -> Vec<Option<Position>> {
    let key = &keys.column;
    let sql = format!(
        "select t.{key}::bigint, t.source_pos from {} as t where t.{key} = any ($1::bigint[])",
        target.name
    );
    let mut found = vec![None; changes];
    let read = Spi::connect_mut(|client| {
        let keys_there = keys.parameter_up_to_last(client, &target.name)?;
        for row in plan_cache::update(client, &sql, &[keys_there])?.iter() {
            let row = row.values::<2>();
            let position = Position::from_bytes(row.bytes(2).unwrap_or_default());
            keys.places(row.word(1)).for_each(|place| found[place] = Some(position.clone()));
        }
        Ok(())
    });
    read.unwrap_or_else(|error| spi_failed("cannot read a target", &error));
    found
}

/// The value of an expression for each row `t` that a change concerns, in the order of the changes.
pub(super) fn of_rows<T: FromDatum + IntoDatum + Clone>(
    target: &Target,
    plan: &Plan,
    changes: &[&RowChange<'_>],
    expression: &str,
) -> Vec<Option<T>> {
    let mut list = ColumnList::default();
    let matches = list.push_key(plan, changes);
    list.push_places(changes.len());
    let sql = format!(
        "select e.place, {expression} from {} join {} as t on {}",
        list.rows(),
        target.name,
        matches.join(" and "),
    );
    let mut found = vec![None; changes.len()];
    let read = Spi::connect_mut(|client| {
        for row in list.run(client, &sql)?.iter() {
            let place = row.get::<i64>(1)?.and_then(|place| usize::try_from(place).ok());
            if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                *slot = row.get(2)?;
            }
        }
        Ok(())
    });
    read.unwrap_or_else(|error| spi_failed("cannot read a target", &error));
    found
}
