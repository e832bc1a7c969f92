//! Writes a round of row changes to its target: a few statements for all rows, never one for each.
//!
//! Nearly every change tells its whole row and is newer than what is stored: those are written at once, and the
//! statement itself leaves out the ones that are not newer. A change that left columns out, or that concerns a row
//! with such columns, is first compared with what is stored (`cdc_core::merge`).

use std::collections::{BTreeMap, HashMap, HashSet};

use cdc_core::{
    Cell, ChangeKind, ColumnPositions, Merge, OnDelete, Operation, OverflowMerge, Plan, Position, RowChange,
    StoredRow, XmlLimits, merge,
};
use pgrx::spi::SpiClient;

use super::dead_letters::Rejected;
use super::documents::{self, Documents};
use super::first_seen::{self, FirstSeen};
use super::guard::{self, as_owner, write_or_halve};
use super::row_memory::{self, Memory};
use super::statements;
use super::stored_rows;
use super::target_plans::TargetPlan;
use super::targets::Target;
use super::upsert::Upsert;

/// What a round did.
#[derive(Default)]
pub(super) struct RoundOutcome {
    pub(super) upserted: i64,
    pub(super) deleted: i64,
    /// The messages of changes that were refused: by the server, or because of a document in them.
    pub(super) refused: Vec<Rejected>,
    /// The messages of changes that were applied but for a document in them.
    pub(super) without_document: Vec<Rejected>,
    /// The messages of changes that were applied but for a document in them, which is passed over.
    pub(super) skipped_document: Vec<usize>,
}

impl RoundOutcome {
    /// Adds what another round did.
    pub(super) fn add(&mut self, other: Self) {
        self.upserted += other.upserted;
        self.deleted += other.deleted;
        self.refused.extend(other.refused);
        self.without_document.extend(other.without_document);
        self.skipped_document.extend(other.skipped_document);
    }
}

/// What changes have in common that share a statement: the columns that are set, and what becomes of `extra_fields`.
type Shape = (Vec<bool>, OverflowMerge);

/// Changes of one target that are applied together, each key at most once among them.
#[derive(Default)]
pub(super) struct Round<'a> {
    changes: Vec<RowChange<'a>>,
    documents: Documents,
    /// What is known of the outcome before anything is written.
    outcome: RoundOutcome,
}

impl<'a> Round<'a> {
    /// Extracts the documents in changes, each key at most once among them.
    pub(super) fn new(target_plan: &TargetPlan, limits: &XmlLimits, changes: Vec<RowChange<'a>>) -> Self {
        let (documents, changes, outcome) = Documents::extract(target_plan, limits, changes);
        Self { changes, documents, outcome }
    }

    /// Deletes, each key at most once among them.
    pub(super) fn of_deletes(changes: Vec<RowChange<'a>>) -> Self {
        Self { changes, ..Self::default() }
    }
}

/// Applies the changes of one round.
pub(super) fn apply_round<'a>(client: &mut SpiClient<'_>, target: &Target, round: Round<'a>) -> RoundOutcome {
    let Round { mut changes, documents, outcome } = round;
    let Ok(plan) = target.plan() else { return outcome };
    let memory = row_memory::recall(client, target, plan, &changes);
    let first_seen = target.keeps_first_ts.then(|| FirstSeen::recall(target, &mut changes, &memory));
    let mut writer =
        Writer { client, target, plan, memory: &memory, outcome, has_newer_rows: false, behind: Vec::new() };
    let is_live = |change: &RowChange<'_>| {
        let deleted = memory.get(&change.key_bytes).and_then(|memory| memory.deleted.as_ref());
        deleted.max(target.gone_before()).is_none_or(|position| change.position > *position)
    };
    let marked = |mut change: RowChange<'a>| {
        let is_older = |truncated: &Position| change.position < *truncated;
        if plan.on_delete() == OnDelete::Soft && target.truncated_at.as_ref().is_some_and(is_older) {
            change.op = Operation::Truncate;
        }
        change
    };
    let has_columns =
        |change: &RowChange<'_>| memory.get(&change.key_bytes).is_some_and(|memory| memory.columns.is_some());
    let (live, outlived): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_live);
    if target.keeps_first_ts {
        writer.behind = outlived;
    }
    let (to_merge, whole): (Vec<_>, Vec<_>) =
        live.into_iter().map(marked).partition(|change| change.is_partial() || has_columns(change));
    writer.write(&whole);
    let merged = if to_merge.is_empty() { Merged::default() } else { writer.merge(to_merge) };
    if !target.extractions().is_empty() {
        writer.write_documents(&documents, &whole, &merged);
    }
    if let Some(first_seen) = first_seen {
        first_seen.lower(writer.client, target, plan, &writer.behind);
    }
    writer.outcome
}

/// The changes that were compared with their rows, as far as they were written.
#[derive(Default)]
struct Merged<'a> {
    /// Those that are the newest of their rows.
    newest: Vec<RowChange<'a>>,
    /// Those that only fill columns of a row that is newer as a whole.
    late: Vec<Late<'a>>,
}

struct Late<'a> {
    change: RowChange<'a>,
    overflow: OverflowMerge,
    /// The position of the row.
    row: Position,
}

struct Writer<'w, 'c, 'a> {
    client: &'w mut SpiClient<'c>,
    target: &'w Target,
    plan: &'w Plan,
    /// What was known of the keys before the round.
    memory: &'w HashMap<Vec<u8>, Memory>,
    outcome: RoundOutcome,
    /// Whether changes were not written that set columns: their rows are newer, or they were refused.
    has_newer_rows: bool,
    /// Of a target that keeps the time of each key's first event: the changes that may not be written, because their rows
    /// are newer.
    behind: Vec<RowChange<'a>>,
}

impl<'a> Writer<'_, '_, 'a> {
    /// Writes changes each of which is the newest of its row, or is left out by the statement.
    fn write(&mut self, changes: &[RowChange<'a>]) {
        let (deletes, upserts): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.kind == ChangeKind::Delete);
        if !deletes.is_empty() {
            let first_ts = if self.target.keeps_first_ts {
                as_owner(self.target, || first_seen::of_rows(self.target, self.plan, &deletes))
            } else {
                Vec::new()
            };
            let deleted =
                self.guarded(&deletes, &|changes| statements::delete(self.target, self.plan, changes));
            self.outcome.deleted += deleted;
            self.note_behind(&deletes, deleted);
            row_memory::remember_deletes(self.client, self.target, &deletes, &first_ts);
            documents::remove_orphans(self.target, self.plan, &deletes);
        }
        let mut by_shape: BTreeMap<Shape, Vec<&RowChange<'a>>> = BTreeMap::new();
        for change in upserts {
            let overflow = if change.is_partial() { OverflowMerge::Add } else { OverflowMerge::Replace };
            by_shape.entry((set_mask(self.plan, change), overflow)).or_default().push(change);
        }
        for ((mask, overflow), changes) in by_shape {
            let statements =
                Upsert { target: self.target, plan: self.plan, mask: &mask, overflow: &overflow };
            self.upsert(&statements, changes);
        }
    }

    /// Inserts rows that are new and updates those that are there; a row that is newer stays.
    fn upsert(&mut self, statements: &Upsert<'_>, changes: Vec<&RowChange<'a>>) {
        let (present, new): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| self.stored(change).is_some());
        let (newer, behind): (Vec<_>, Vec<_>) = present
            .into_iter()
            .partition(|change| self.stored(change).is_some_and(|row| change.position > *row));
        self.note_unwritten(&behind, 0);
        if !new.is_empty() {
            let written = self.written_at_once(&new, |changes| statements.insert(changes));
            self.finish(statements, &new, written);
        }
        if !newer.is_empty() {
            let written = self.written_at_once(&newer, |changes| statements.update(changes));
            self.finish(statements, &newer, written);
        }
    }

    /// The rows that a statement has written, none if one of them is refused.
    fn written_at_once(&self, changes: &[&RowChange<'a>], write: impl Fn(&[&RowChange<'a>]) -> i64) -> i64 {
        guard::attempt(self.target.owner, || write(changes)).unwrap_or(0)
    }

    /// Writes what is left of changes of which `written` rows are: one may be refused, or have come or gone meanwhile.
    fn finish(&mut self, statements: &Upsert<'_>, changes: &[&RowChange<'a>], mut written: i64) {
        if written < changes.len() as i64 {
            written += self.guarded(changes, &|changes| statements.insert_or_update(changes));
        }
        self.outcome.upserted += written;
        self.note_unwritten(changes, written);
    }

    /// The position of the row that a change concerns, before the round.
    fn stored(&self, change: &RowChange<'_>) -> Option<&Position> {
        self.memory.get(&change.key_bytes).and_then(|memory| memory.row.as_ref())
    }

    /// Keeps in mind changes of which not all were written.
    fn note_unwritten(&mut self, changes: &[&RowChange<'a>], written: i64) {
        self.has_newer_rows |= written < changes.len() as i64;
        self.note_behind(changes, written);
    }

    /// Keeps changes of which not all were written.
    fn note_behind(&mut self, changes: &[&RowChange<'a>], written: i64) {
        if self.target.keeps_first_ts && written < changes.len() as i64 {
            self.behind.extend(changes.iter().map(|change| (*change).clone()));
        }
    }

    /// Compares changes with the rows as they are stored, and writes what is left of them.
    fn merge(&mut self, changes: Vec<RowChange<'a>>) -> Merged<'a> {
        let (mut merged, mut columns) = (Merged::default(), Vec::new());
        for change in changes {
            let memory = self.memory.get(&change.key_bytes);
            let position = memory.and_then(|memory| memory.row.clone());
            let known = memory.and_then(|memory| memory.columns.as_ref());
            let (key, message) = (change.key_bytes.clone(), change.message);
            let is_delete = change.kind == ChangeKind::Delete;
            let row = StoredRow { position: position.as_ref(), columns: known };
            match merge(self.plan, row, change.clone()) {
                Merge::Stale => self.note_behind(&[&change], 0),
                Merge::Delete => {
                    merged.newest.push(change);
                    columns.push((message, key, None));
                }
                Merge::Write { change: left, is_newest, overflow, columns: positions } => {
                    columns.push((message, key, positions));
                    let Some(row) = position.filter(|_| !is_newest) else {
                        merged.newest.push(left);
                        continue;
                    };
                    self.note_behind(&[&change], 0);
                    if is_delete {
                        row_memory::remember_deletes(self.client, self.target, &[&change], &[]);
                    }
                    merged.late.push(Late { change: left, overflow, row });
                }
            }
        }
        self.write(&merged.newest);
        self.fill(&merged.late);
        self.remember(columns);
        merged
    }

    /// The positions of the rows that changes concern, in the order of the changes; `None` where there is no row.
    fn stored_positions(&self, changes: &[&RowChange<'_>]) -> Vec<Option<Position>> {
        as_owner(self.target, || stored_rows::positions(self.target, self.plan, changes))
    }

    /// Writes changes that are older than their rows but still fill columns of them.
    fn fill(&mut self, late: &[Late<'_>]) {
        let mut by_shape: BTreeMap<Shape, Vec<&RowChange<'_>>> = BTreeMap::new();
        for Late { change, overflow, .. } in late {
            by_shape.entry((set_mask(self.plan, change), overflow.clone())).or_default().push(change);
        }
        for ((mask, overflow), changes) in by_shape {
            self.outcome.upserted += self.guarded(&changes, &|changes| {
                statements::fill(self.target, self.plan, &mask, &overflow, changes)
            });
        }
    }

    /// Writes the child rows of the documents in changes that are written. A document whose rows are refused counts as
    /// not sent.
    fn write_documents(&mut self, documents: &Documents, whole: &[RowChange<'_>], merged: &Merged<'_>) {
        let newest: Vec<_> =
            whole.iter().chain(&merged.newest).filter(|change| documents.concern(change)).collect();
        let stored = if self.has_newer_rows {
            self.stored_positions(&newest)
        } else {
            newest.iter().map(|change| Some(change.position.clone())).collect()
        };
        let newest = newest.into_iter().zip(stored).filter_map(|(change, row)| {
            let row = row.filter(|row| *row == change.position)?;
            Some((change, row))
        });
        let refused: HashSet<_> = self.outcome.refused.iter().map(|refused| refused.message).collect();
        let late = merged.late.iter().filter(|late| !refused.contains(&late.change.message));
        let written: Vec<_> = newest.chain(late.map(|late| (&late.change, late.row.clone()))).collect();
        for unwritten in documents.write(self.target, self.plan, &written) {
            let memory = (&*unwritten.key_bytes, &unwritten.row, &*unwritten.document);
            row_memory::forget_column(self.client, self.target, memory);
            self.outcome.without_document.push(unwritten.rejected);
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
        let written = write_or_halve(self.target.owner, changes, &mut refused, write);
        self.outcome.refused.extend(refused.into_iter().map(|(change, reject)| Rejected {
            message: change.message,
            source_pos: Some(change.position.as_bytes().to_vec()),
            reject,
        }));
        written
    }
}

/// The columns of the target that a change sets.
fn set_mask(plan: &Plan, change: &RowChange<'_>) -> Vec<bool> {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => {
            let stored = &cells[..plan.documents().start];
            stored.iter().map(|cell| *cell != Cell::Keep).collect()
        }
        ChangeKind::Delete => Vec::new(),
    }
}
