//! A table with what is remembered beside it, as a server has it: changes are applied as `apply::round` of the
//! extension applies them.

use std::collections::{BTreeMap, HashMap};

use cdc_core::{
    Cell, ChangeKind, ColumnPositions, DecodeSettings, Decoded, Decoder, Fold, Merge, OverflowMerge, Plan,
    Position, RowChange, StoredRow, merge,
};

use crate::history::Key;
use crate::json::Sent;
use crate::{Row, Rows};

/// One target, by the bytes of keys.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rows: HashMap<Vec<u8>, (Position, Row)>,
    tombstones: HashMap<Vec<u8>, Position>,
    /// In the form in which they are stored.
    columns: HashMap<Vec<u8>, String>,
}

pub(crate) fn decoder<'a>() -> Decoder<'a> {
    Decoder::new(DecodeSettings::default())
}

impl Store {
    /// Applies a batch of messages.
    pub(crate) fn apply(&mut self, plan: &Plan, batch: &[&Sent]) {
        let (mut decoder, mut fold) = (decoder(), Fold::default());
        let messages: Vec<_> = batch.iter().map(|sent| sent.message()).collect();
        for (place, message) in messages.iter().enumerate() {
            let Decoded::Change(event) = decoder.decode(message).unwrap() else { panic!("not a change") };
            // An event that is refused is a dead letter.
            for change in plan.changes(&event, place).unwrap_or_default() {
                fold.push(change);
            }
        }
        for round in fold.into_rounds() {
            self.apply_round(plan, round);
        }
    }

    fn apply_round(&mut self, plan: &Plan, round: Vec<RowChange<'_>>) {
        let is_live = |change: &RowChange<'_>| {
            self.tombstones.get(&change.key_bytes).is_none_or(|deleted| change.position > *deleted)
        };
        let (to_merge, whole): (Vec<_>, Vec<_>) = round
            .into_iter()
            .filter(is_live)
            .partition(|change| change.is_partial() || self.columns.contains_key(&change.key_bytes));
        for change in whole {
            self.write_whole(plan, change);
        }
        for change in to_merge {
            self.merge(plan, change);
        }
    }

    /// Writes a change that tells its whole row, unless the row is newer.
    fn write_whole(&mut self, plan: &Plan, change: RowChange<'_>) {
        if change.kind == ChangeKind::Delete {
            self.remember_delete(&change);
        }
        let stored = self.rows.get(&change.key_bytes).map(|(position, _)| position);
        if stored.is_some_and(|stored| change.position <= *stored) {
            return;
        }
        if change.kind == ChangeKind::Delete {
            self.rows.remove(&change.key_bytes);
        } else {
            self.write(plan, change, true, &OverflowMerge::Replace);
        }
    }

    fn merge(&mut self, plan: &Plan, change: RowChange<'_>) {
        let position = self.rows.get(&change.key_bytes).map(|(position, _)| position);
        let known = self.columns.get(&change.key_bytes).map(|json| serde_json::from_str(json).unwrap());
        let row = StoredRow { position, columns: known.as_ref() };
        let (key, is_late) = (change.key_bytes.clone(), position.is_some());
        let delete = (change.kind == ChangeKind::Delete).then(|| change.clone());
        match merge(plan, row, change) {
            Merge::Stale => (),
            Merge::Delete => {
                self.write_whole(plan, delete.unwrap());
                self.remember_columns(key, None);
            }
            Merge::Write { change, is_newest, overflow, columns } => {
                if let Some(delete) = delete.filter(|_| is_late && !is_newest) {
                    self.remember_delete(&delete);
                }
                self.write(plan, change, is_newest, &overflow);
                self.remember_columns(key, columns);
            }
        }
    }

    fn write(&mut self, plan: &Plan, change: RowChange<'_>, is_newest: bool, merged: &OverflowMerge) {
        let ChangeKind::Upsert { cells, overflow, .. } = change.kind else { panic!("a delete") };
        let empty = || {
            let cells = vec![None; plan.columns().len() - plan.key().len()];
            (change.position.clone(), Row { cells, extra_fields: BTreeMap::new(), source_op: "" })
        };
        let (position, row) = self.rows.entry(change.key_bytes).or_insert_with(empty);
        if is_newest {
            *position = change.position.clone();
            row.source_op = change.op.as_str();
        }
        let values = cells.into_iter().skip(plan.key().len());
        for (stored, cell) in row.cells.iter_mut().zip(values) {
            if let Cell::Set(value) = cell {
                *stored = value.text().map(std::borrow::Cow::into_owned);
            }
        }
        match merged {
            OverflowMerge::Replace => row.extra_fields.clear(),
            OverflowMerge::Add => (),
            OverflowMerge::Retain(names) => row.extra_fields.retain(|name, _| names.contains(name)),
        }
        row.extra_fields
            .extend(overflow.into_iter().map(|(name, json)| (name.into_owned(), json.into_owned())));
    }

    fn remember_delete(&mut self, delete: &RowChange<'_>) {
        let deleted = self.tombstones.entry(delete.key_bytes.clone());
        let deleted = deleted.or_insert_with(|| delete.position.clone());
        *deleted = delete.position.clone().max(deleted.clone());
    }

    fn remember_columns(&mut self, key: Vec<u8>, columns: Option<ColumnPositions>) {
        match columns {
            Some(columns) => self.columns.insert(key, serde_json::to_string(&columns).unwrap()),
            None => self.columns.remove(&key),
        };
    }

    /// The rows, by what their keys mean.
    pub(crate) fn rows(&self, meanings: &HashMap<Vec<u8>, Key>) -> Rows {
        self.rows.iter().map(|(bytes, (_, row))| (meanings[bytes].clone(), row.clone())).collect()
    }
}
