//! The end of a row does not depend on the order in which its changes come.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{ColumnRule, ColumnType, OnDelete, OnUnknown, Operation, TargetColumn};

/// Key column, two more columns.
const COLUMNS: usize = 3;

fn plan() -> Plan {
    let column = |name: &str| TargetColumn {
        name: name.to_owned(),
        column_type: ColumnType::Int8,
        rule: ColumnRule::Column(name.to_owned()),
    };
    let columns = ["id", "a", "b"].map(column).into();
    Plan::new(columns, &["id".to_owned()], OnUnknown::Overflow, OnDelete::Delete, &[]).unwrap()
}

/// A row with the history of one key applied as it came.
#[derive(Debug, Clone, Default)]
struct Store {
    row: Option<(Position, Vec<Value<'static>>, BTreeMap<String, String>)>,
    columns: Option<ColumnPositions>,
    tombstone: Option<Position>,
}

impl Store {
    fn apply(&mut self, change: RowChange<'static>) {
        if self.tombstone.as_ref().is_some_and(|deleted| change.position <= *deleted) {
            return;
        }
        if change.kind == ChangeKind::Delete {
            self.tombstone = Some(change.position.clone());
        }
        let position = self.row.as_ref().map(|(position, ..)| position);
        let stored = StoredRow { position, columns: self.columns.as_ref() };
        match merge(&plan(), stored, change) {
            Merge::Stale => (),
            Merge::Delete => (self.row, self.columns) = (None, None),
            Merge::Write { change, is_newest, overflow: merged, columns } => {
                self.write(change, is_newest, &merged);
                self.columns = columns;
            }
        }
    }

    fn write(&mut self, change: RowChange<'static>, is_newest: bool, merged: &OverflowMerge) {
        let empty = || (change.position.clone(), vec![Value::Null; COLUMNS], BTreeMap::new());
        let (position, values, extra) = self.row.get_or_insert_with(empty);
        if is_newest {
            *position = change.position;
        }
        let ChangeKind::Upsert { cells, overflow, .. } = change.kind else {
            panic!("a delete is not written")
        };
        for (value, cell) in values.iter_mut().zip(cells) {
            if let Cell::Set(new) = cell {
                *value = new;
            }
        }
        match merged {
            OverflowMerge::Replace => extra.clear(),
            OverflowMerge::Add => (),
            OverflowMerge::Retain(names) => extra.retain(|name, _| names.contains(name)),
        }
        extra.extend(overflow.into_iter().map(|(name, json)| (name.into_owned(), json.into_owned())));
    }
}

fn change(at: usize, kind: ChangeKind<'static>) -> RowChange<'static> {
    RowChange {
        key: vec![Value::Int(1)],
        key_bytes: vec![1],
        position: Position::from_time(at as i64, 0),
        op: Operation::Update,
        source_ts: None,
        first_ts: None,
        message: at,
        kind,
    }
}

fn upsert(a: Option<i64>, b: Option<i64>, overflow: &[(&str, &'static str)]) -> ChangeKind<'static> {
    let cell = |value: Option<i64>| value.map_or(Cell::Keep, |value| Cell::Set(Value::Int(value)));
    let overflow = overflow.iter().map(|(name, raw)| ((*name).to_owned().into(), (*raw).into())).collect();
    ChangeKind::Upsert { cells: vec![cell(Some(1)), cell(a), cell(b)], overflow, keeps_overflow: false }
}

#[test]
fn a_whole_row_that_comes_late_fills_what_a_newer_change_left_out() {
    let mut store = Store::default();
    store.apply(change(2, upsert(Some(20), None, &[("x", "2")])));
    store.apply(change(1, upsert(Some(10), Some(11), &[("x", "1"), ("y", "1")])));
    let (position, values, extra) = store.row.unwrap();
    assert_eq!(position, Position::from_time(2, 0));
    assert_eq!(values, [Value::Int(1), Value::Int(20), Value::Int(11)]);
    assert_eq!(extra, BTreeMap::from([("x".into(), "2".into()), ("y".into(), "1".into())]));
}

#[test]
fn a_newer_whole_row_makes_the_row_uniform_again() {
    let mut store = Store::default();
    store.apply(change(1, upsert(Some(1), None, &[])));
    assert!(store.columns.is_some());
    store.apply(change(2, upsert(Some(2), Some(2), &[])));
    assert_eq!(store.columns, None);
}

#[test]
fn a_delete_that_comes_late_clears_what_is_older() {
    let mut store = Store::default();
    store.apply(change(3, upsert(Some(30), None, &[])));
    store.apply(change(1, upsert(Some(10), Some(11), &[("x", "1")])));
    store.apply(change(2, ChangeKind::Delete));
    let (_, values, extra) = store.row.unwrap();
    assert_eq!(values, [Value::Int(1), Value::Int(30), Value::Null]);
    assert!(extra.is_empty());
}

#[test]
fn positions_survive_their_json_form() {
    let mut store = Store::default();
    store.apply(change(1, upsert(Some(1), Some(1), &[])));
    store.apply(change(2, upsert(Some(2), None, &[("x", "1")])));
    let positions = store.columns.unwrap();
    let json = serde_json::to_string(&positions).unwrap();
    assert_eq!(serde_json::from_str::<ColumnPositions>(&json).unwrap(), positions, "{json}");
}

fn kind() -> impl Strategy<Value = ChangeKind<'static>> {
    let value = || proptest::option::of(0..9_i64);
    let fields = proptest::sample::subsequence(vec![("x", "1"), ("y", "2"), ("z", "3")], 0..=3);
    prop_oneof![
        4 => (value(), value(), fields).prop_map(|(a, b, fields)| upsert(a, b, &fields)),
        1 => Just(ChangeKind::Delete),
    ]
}

proptest! {
    #[test]
    fn every_order_of_delivery_ends_in_the_same_row(
        (history, order) in proptest::collection::vec(kind(), 1..8).prop_flat_map(|history| {
            // Every change at least once, some twice, in any order.
            let twice: Vec<usize> = (0..history.len()).chain(0..history.len() / 2).collect();
            (Just(history), Just(twice).prop_shuffle())
        })
    ) {
        let mut in_order = Store::default();
        for (at, kind) in history.iter().enumerate() {
            in_order.apply(change(at, kind.clone()));
        }
        let mut shuffled = Store::default();
        for at in order {
            shuffled.apply(change(at, history[at].clone()));
        }
        prop_assert_eq!(in_order.row, shuffled.row);
    }
}
