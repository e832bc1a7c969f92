//! Writes a round of row changes to its target: a few statements for all rows, never one for each.
//!
//! Nearly every change tells its whole row and is newer than what is stored: those are written at once, and the
//! statement itself leaves out the ones that are not newer. A change that left columns out, or that concerns a row
//! with such columns, is first compared with what is stored (`cdc_core::merge`).

use std::collections::{BTreeMap, HashMap, HashSet};

use cdc_core::{Cell, ChangeKind, ColumnPositions, Merge, OverflowMerge, Plan, RowChange, StoredRow, merge};
use pgrx::spi::SpiClient;

use super::dead_letters::Rejected;
use super::guard::{as_owner, write_or_halve};
use super::row_memory::{self, Memory};
use super::statements;
use super::targets::Target;

/// What a round did.
#[derive(Default)]
pub(super) struct RoundOutcome {
    pub(super) upserted: i64,
    pub(super) deleted: i64,
    /// The messages of changes that the server refused.
    pub(super) refused: Vec<Rejected>,
}

/// What changes have in common that share a statement: the columns that are set, and what becomes of `extra_fields`.
type Shape = (Vec<bool>, OverflowMerge);

/// Applies the changes of one round, each key at most once among them.
pub(super) fn apply_round(
    client: &mut SpiClient<'_>,
    target: &Target,
    round: Vec<RowChange<'_>>,
) -> RoundOutcome {
    let Ok(plan) = target.plan() else { return RoundOutcome::default() };
    let memory = row_memory::recall(client, target, &round);
    let mut writer = Writer { client, target, plan, outcome: RoundOutcome::default() };
    let is_live = |change: &RowChange<'_>| {
        let deleted = memory.get(&change.key_bytes).and_then(|memory| memory.deleted.as_ref());
        deleted.is_none_or(|position| change.position > *position)
    };
    let has_columns =
        |change: &RowChange<'_>| memory.get(&change.key_bytes).is_some_and(|memory| memory.columns.is_some());
    let live = round.into_iter().filter(is_live);
    let (to_merge, whole): (Vec<_>, Vec<_>) =
        live.partition(|change| change.is_partial() || has_columns(change));
    writer.write(&whole);
    if !to_merge.is_empty() {
        writer.merge(to_merge, &memory);
    }
    writer.outcome
}

struct Writer<'w, 'c> {
    client: &'w mut SpiClient<'c>,
    target: &'w Target,
    plan: &'w Plan,
    outcome: RoundOutcome,
}

impl Writer<'_, '_> {
    /// Writes changes each of which is the newest of its row, or is left out by the statement.
    fn write(&mut self, changes: &[RowChange<'_>]) {
        let (deletes, upserts): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.kind == ChangeKind::Delete);
        if !deletes.is_empty() {
            self.outcome.deleted +=
                self.guarded(&deletes, &|changes| statements::delete(self.target, self.plan, changes));
            row_memory::remember_deletes(self.client, self.target, &deletes);
        }
        let mut by_shape: BTreeMap<Shape, Vec<&RowChange<'_>>> = BTreeMap::new();
        for change in upserts {
            let overflow = if change.is_partial() { OverflowMerge::Add } else { OverflowMerge::Replace };
            by_shape.entry((set_mask(change), overflow)).or_default().push(change);
        }
        for ((mask, overflow), changes) in by_shape {
            self.outcome.upserted += self.guarded(&changes, &|changes| {
                statements::upsert(self.target, self.plan, &mask, &overflow, changes)
            });
        }
    }

    /// Compares changes with the rows as they are stored, and writes what is left of them.
    fn merge(&mut self, changes: Vec<RowChange<'_>>, memory: &HashMap<Vec<u8>, Memory>) {
        let borrowed: Vec<_> = changes.iter().collect();
        let stored = as_owner(self.target, || statements::row_positions(self.target, self.plan, &borrowed));
        let (mut newest, mut fillings, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (change, position) in changes.into_iter().zip(stored) {
            let known = memory.get(&change.key_bytes).and_then(|memory| memory.columns.as_ref());
            let (key, message) = (change.key_bytes.clone(), change.message);
            let is_delete = change.kind == ChangeKind::Delete;
            let row = StoredRow { position: position.as_ref(), columns: known };
            match merge(self.plan, row, change.clone()) {
                Merge::Stale => (),
                Merge::Delete => {
                    newest.push(change);
                    columns.push((message, key, None));
                }
                Merge::Write { change: left, is_newest, overflow, columns: positions } => {
                    columns.push((message, key, positions));
                    if is_newest {
                        newest.push(left);
                    } else {
                        if is_delete {
                            row_memory::remember_deletes(self.client, self.target, &[&change]);
                        }
                        fillings.push((left, overflow));
                    }
                }
            }
        }
        self.write(&newest);
        self.fill(&fillings);
        self.remember(columns);
    }

    /// Writes changes that are older than their rows but still fill columns of them.
    fn fill(&mut self, fillings: &[(RowChange<'_>, OverflowMerge)]) {
        let mut by_shape: BTreeMap<Shape, Vec<&RowChange<'_>>> = BTreeMap::new();
        for (change, overflow) in fillings {
            by_shape.entry((set_mask(change), overflow.clone())).or_default().push(change);
        }
        for ((mask, overflow), changes) in by_shape {
            self.outcome.upserted += self.guarded(&changes, &|changes| {
                statements::fill(self.target, self.plan, &mask, &overflow, changes)
            });
        }
    }

    /// Remembers the columns' positions of all changes but those that were refused.
    fn remember(&mut self, columns: Vec<(usize, Vec<u8>, Option<ColumnPositions>)>) {
        let refused: HashSet<_> = self.outcome.refused.iter().map(|refused| refused.message).collect();
        let written = columns.into_iter().filter(|(message, ..)| !refused.contains(message));
        let written: Vec<_> = written.map(|(_, key, positions)| (key, positions)).collect();
        row_memory::remember_columns(self.client, self.target, &written);
    }

    fn guarded(&mut self, changes: &[&RowChange<'_>], write: &dyn Fn(&[&RowChange<'_>]) -> i64) -> i64 {
        let mut refused = Vec::new();
        let written = write_or_halve(self.target, changes, &mut refused, write);
        self.outcome.refused.extend(refused.into_iter().map(|(change, reject)| Rejected {
            message: change.message,
            source_pos: Some(change.position.as_bytes().to_vec()),
            reject,
        }));
        written
    }
}

fn set_mask(change: &RowChange<'_>) -> Vec<bool> {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => cells.iter().map(|cell| *cell != Cell::Keep).collect(),
        ChangeKind::Delete => Vec::new(),
    }
}
