//! From the changes of a batch to at most one change per key and statement.
//!
//! `INSERT … ON CONFLICT` cannot touch a row twice in one statement, and only the newest state of a key matters. So
//! changes are sorted by position within their key and those that a newer one supersedes are dropped. A change that
//! leaves cells as they are ([`RowChange::is_partial`]) does not supersede a whole row before it; then the key has
//! several changes, and they are applied in rounds, oldest first.

use crate::plan::{ChangeKind, RowChange};

/// Collects the changes of one target in one batch.
#[derive(Debug, Default)]
pub struct Fold<'a> {
    changes: Vec<RowChange<'a>>,
}

impl<'a> Fold<'a> {
    /// Adds a change; the order of calls does not matter, but of two with equal positions the first one stays.
    pub fn push(&mut self, change: RowChange<'a>) {
        self.changes.push(change);
    }

    /// The changes in rounds: each round has a key at most once, and must be applied before the next. Within a
    /// round the changes are sorted by key, so that two sessions lock rows in the same order.
    pub fn into_rounds(self) -> Vec<Vec<RowChange<'a>>> {
        self.into_rounds_after(drop_superseded)
    }

    /// The same of all changes, and none is dropped for a newer one: because that may be refused, or was.
    pub fn into_rounds_of_all(self) -> Vec<Vec<RowChange<'a>>> {
        self.into_rounds_after(|_| ())
    }

    /// Rounds of what is left of the changes of each key, which are in order of position and of different positions.
    fn into_rounds_after(self, reduce: impl Fn(&mut Vec<RowChange<'a>>)) -> Vec<Vec<RowChange<'a>>> {
        let order = places_in_order(&self.changes);
        let mut changes: Vec<_> = self.changes.into_iter().map(Some).collect();
        let mut rounds: Vec<Vec<RowChange<'a>>> = Vec::new();
        let mut of_key: Vec<RowChange<'a>> = Vec::new();
        for places in order.chunk_by(|a, b| a.key == b.key) {
            for change in places.iter().filter_map(|place| changes[place.change].take()) {
                match of_key.last_mut().filter(|last| last.position == change.position) {
                    Some(same) => same.seen_at(change.first_ts),
                    None => of_key.push(change),
                }
            }
            reduce(&mut of_key);
            for (round, change) in of_key.drain(..).enumerate() {
                if rounds.len() == round {
                    rounds.push(Vec::new());
                }
                rounds[round].push(change);
            }
        }
        rounds
    }
}

/// Where a change stands in a list; much smaller than the change, which sorting would move about.
struct Place {
    /// The number of its key, counted in order.
    key: usize,
    change: usize,
}

/// The places of changes by key, then position, then their own order.
fn places_in_order(changes: &[RowChange<'_>]) -> Vec<Place> {
    let beginnings = changes.iter().map(|change| beginning(&change.key_bytes));
    let mut order: Vec<(u128, usize)> = beginnings.zip(0..).collect();
    let full = |change: usize| (&changes[change].key_bytes, &changes[change].position, change);
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| full(a.1).cmp(&full(b.1))));
    let (mut key, mut last) = (0, None);
    let places = order.into_iter().map(|(beginning, change)| {
        let this = (beginning, &changes[change].key_bytes);
        key += usize::from(last.replace(this).is_some_and(|last| last != this));
        Place { key, change }
    });
    places.collect()
}

/// The first bytes of a key as a number that sorts as they do: it mostly tells two keys apart.
fn beginning(key_bytes: &[u8]) -> u128 {
    let mut bytes = [0; size_of::<u128>()];
    let length = key_bytes.len().min(bytes.len());
    bytes[..length].copy_from_slice(&key_bytes[..length]);
    u128::from_be_bytes(bytes)
}

/// Drops every change that a newer one makes needless. The list is in order of position.
fn drop_superseded(changes: &mut Vec<RowChange<'_>>) {
    if changes.len() < 2 {
        return;
    }
    let mut newest_first = std::mem::take(changes).into_iter().rev();
    let mut kept: Vec<RowChange<'_>> = newest_first.next().into_iter().collect();
    for older in newest_first {
        match kept.iter_mut().find(|newer| supersedes(newer, &older)) {
            Some(newer) => newer.seen_at(older.first_ts),
            None => kept.push(older),
        }
    }
    kept.reverse();
    *changes = kept;
}

/// Whether nothing of `older` can be seen once `newer` has been applied.
fn supersedes(newer: &RowChange<'_>, older: &RowChange<'_>) -> bool {
    if !newer.is_partial() {
        return true;
    }
    let ChangeKind::Upsert { cells: newer_cells, overflow: newer_overflow, .. } = &newer.kind else {
        return true;
    };
    let ChangeKind::Upsert { cells, overflow, .. } = &older.kind else {
        return false;
    };
    let covers_cells = newer_cells.iter().zip(cells).all(|(new, old)| !new.is_kept() || old.is_kept());
    let covers_overflow =
        overflow.iter().all(|(name, _)| newer_overflow.iter().any(|(newer_name, _)| newer_name == name));
    covers_cells && covers_overflow && older.is_partial()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Operation, Position, Value};
    use proptest::prelude::*;

    fn change(key: i64, at: i64, kind: ChangeKind<'static>) -> RowChange<'static> {
        RowChange {
            key: vec![Value::Int(key)],
            key_bytes: key.to_be_bytes().to_vec(),
            position: Position::from_time(at, 0),
            op: Operation::Update,
            source_ts: Some(at),
            first_ts: Some(at),
            message: at as usize,
            kind,
        }
    }

    fn upsert(cells: Vec<Cell<'static>>) -> ChangeKind<'static> {
        ChangeKind::Upsert { cells, overflow: Vec::new(), keeps_overflow: false }
    }

    fn set(value: i64) -> Cell<'static> {
        Cell::Set(Value::Int(value))
    }

    #[test]
    fn the_newest_whole_row_or_delete_is_all_that_is_left() {
        let mut fold = Fold::default();
        fold.push(change(1, 3, upsert(vec![set(3)])));
        fold.push(change(1, 1, upsert(vec![set(1)])));
        fold.push(change(1, 2, ChangeKind::Delete));
        fold.push(change(2, 5, ChangeKind::Delete));
        fold.push(change(2, 4, upsert(vec![set(4)])));
        let rounds = fold.into_rounds();
        assert_eq!(rounds.len(), 1);
        assert_eq!(rounds[0].iter().map(|change| change.message).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn a_partial_change_comes_after_the_row_it_completes() {
        let mut fold = Fold::default();
        fold.push(change(1, 2, upsert(vec![set(2), Cell::Keep])));
        fold.push(change(1, 3, upsert(vec![set(3), Cell::Keep])));
        fold.push(change(1, 1, upsert(vec![set(1), set(1)])));
        let rounds = fold.into_rounds();
        assert_eq!(rounds.iter().map(|round| round[0].message).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn the_time_of_the_first_change_is_kept() {
        let mut fold = Fold::default();
        fold.push(change(1, 3, upsert(vec![set(3)])));
        fold.push(change(1, 2, ChangeKind::Delete));
        fold.push(change(1, 5, upsert(vec![set(5)])));
        assert_eq!(fold.into_rounds()[0][0].first_ts, Some(2));
    }

    #[test]
    fn a_duplicate_counts_once() {
        let mut fold = Fold::default();
        fold.push(change(1, 1, upsert(vec![set(1), Cell::Keep])));
        fold.push(change(1, 1, upsert(vec![set(1), Cell::Keep])));
        assert_eq!(fold.into_rounds().concat().len(), 1);
    }

    #[test]
    fn keys_that_begin_alike_are_told_apart_and_sorted() {
        let long = |last: u8| [vec![7; 20], vec![last]].concat();
        let keys = [vec![], vec![0], vec![0, 0], vec![7; 16], vec![7; 17], long(1), long(2), vec![8]];
        let mut fold = Fold::default();
        for (at, key_bytes) in keys.iter().chain(&keys).rev().enumerate() {
            let change = change(0, at as i64, upsert(vec![set(at as i64)]));
            fold.push(RowChange { key_bytes: key_bytes.clone(), ..change });
        }
        let rounds = fold.into_rounds();
        assert_eq!(rounds.len(), 1);
        assert!(rounds[0].iter().map(|change| &change.key_bytes).eq(&keys));
        assert!(rounds[0].iter().all(|change| change.message >= keys.len()), "the newest of each");
    }

    #[test]
    fn of_all_changes_none_is_dropped() {
        let mut fold = Fold::default();
        fold.push(change(1, 2, upsert(vec![set(2)])));
        fold.push(change(1, 1, upsert(vec![set(1)])));
        fold.push(change(1, 2, upsert(vec![set(2)])));
        let rounds = fold.into_rounds_of_all();
        assert_eq!(rounds.iter().map(|round| round[0].message).collect::<Vec<_>>(), [1, 2]);
    }

    /// The state of one row after changes were applied as the server applies them.
    fn apply(rounds: Vec<Vec<RowChange<'static>>>) -> Option<Vec<i64>> {
        let mut row: Option<(Position, Option<Vec<i64>>)> = None;
        for change in rounds.into_iter().flatten() {
            if row.as_ref().is_some_and(|(position, _)| *position >= change.position) {
                continue;
            }
            let old = row.take().and_then(|(_, cells)| cells).unwrap_or_else(|| vec![0; 3]);
            let new = match change.kind {
                ChangeKind::Delete => None,
                ChangeKind::Upsert { cells, .. } => Some(
                    cells
                        .into_iter()
                        .zip(old)
                        .map(|(cell, old)| match cell {
                            Cell::Set(Value::Int(value)) => value,
                            _ => old,
                        })
                        .collect(),
                ),
            };
            row = Some((change.position, new));
        }
        row.and_then(|(_, cells)| cells)
    }

    fn any_kind() -> impl Strategy<Value = ChangeKind<'static>> {
        let cell = prop_oneof![Just(Cell::Keep), (1_i64..100).prop_map(set)];
        prop_oneof![
            1 => Just(ChangeKind::Delete),
            4 => prop::collection::vec(cell, 3).prop_map(upsert),
            2 => prop::collection::vec((1_i64..100).prop_map(set), 3).prop_map(upsert),
        ]
    }

    proptest! {
        #[test]
        fn folding_in_any_order_gives_what_the_history_gives(
            kinds in prop::collection::vec(any_kind(), 1..12),
            shuffle in prop::collection::vec(any::<u32>(), 24),
        ) {
            let history: Vec<_> =
                kinds.into_iter().enumerate().map(|(at, kind)| change(1, at as i64 + 1, kind)).collect();
            let expected = apply(history.iter().map(|change| vec![change.clone()]).collect());
            let mut delivered: Vec<_> = history.iter().chain(&history).cloned().zip(shuffle).collect();
            delivered.sort_by_key(|(_, rank)| *rank);
            let mut fold = Fold::default();
            delivered.into_iter().for_each(|(change, _)| fold.push(change));
            prop_assert_eq!(apply(fold.into_rounds()), expected);
        }
    }
}
