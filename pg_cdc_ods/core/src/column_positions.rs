//! Rows whose columns are not all of the same position, and what a change that comes late still adds to them.
//!
//! A change that does not send every column leaves a row that is new in some columns and old in others. If only the
//! row's own position were known, a whole row that comes late could not fill what the newer change left out, and the
//! end would depend on the order of delivery. So for such rows, and only for them, the position of each column is
//! kept. A row is *uniform* when all of its columns have the row's position; then there is nothing to keep.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plan::{Cell, ChangeKind, Plan, RowChange};
use crate::value::push_hex;
use crate::{Position, Value};

/// The positions of the columns of a row that is not uniform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPositions {
    /// The newest change that told the whole row (or that it was gone): the position of all columns not named below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Position>,
    /// What newer changes have set, each column by the newest of them.
    newer: Vec<SetByChange>,
}

/// What one change has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SetByChange {
    /// The position of the change.
    at: Position,
    /// Columns of the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<String>,
    /// Fields of `extra_fields`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<String>,
}

/// A row as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow<'s> {
    /// Its position; `None` if there is no such row.
    pub position: Option<&'s Position>,
    /// Set if it is not uniform.
    pub columns: Option<&'s ColumnPositions>,
}

/// What becomes of `extra_fields`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverflowMerge {
    /// The change's fields replace all that is stored.
    Replace,
    /// The change's fields are added to what is stored.
    Add,
    /// The change's fields are added to these of what is stored; the others go.
    Retain(Vec<String>),
}

/// What a change still does to its row.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, taken apart at once")]
pub enum Merge<'a> {
    /// Nothing: all it says is known or outdated.
    Stale,
    /// The row is removed.
    Delete,
    /// Cells are written.
    Write {
        /// The change without the cells and fields that are outdated.
        change: RowChange<'a>,
        /// Whether the change is the newest of the row, and its bookkeeping columns are written too.
        is_newest: bool,
        /// What becomes of `extra_fields`.
        overflow: OverflowMerge,
        /// What to keep of the columns' positions; `None` if the row is uniform now.
        columns: Option<ColumnPositions>,
    },
}

impl SetByChange {
    fn nothing(at: Position) -> Self {
        Self { at, columns: Vec::new(), overflow: Vec::new() }
    }
}

impl ColumnPositions {
    fn of_uniform(position: Option<&Position>) -> Self {
        Self { base: position.cloned(), newer: Vec::new() }
    }

    /// Of a row with this position, whose column `name` is older than any change: the next change that sends it fills
    /// it, even if it is the one that the row is from.
    pub fn without(row: Position, columns: Option<Self>, name: &str) -> Self {
        let mut positions = columns.unwrap_or_else(|| Self::of_uniform(Some(&row)));
        let mut older = SetByChange::nothing(Position::from_bytes(&[]));
        older.columns.push(name.to_owned());
        positions.set(older);
        positions
    }

    fn column(&self, name: &str) -> Option<&Position> {
        self.newest(|change| &change.columns, name)
    }

    fn overflow(&self, name: &str) -> Option<&Position> {
        self.newest(|change| &change.overflow, name)
    }

    fn newest(&self, names: impl Fn(&SetByChange) -> &Vec<String>, name: &str) -> Option<&Position> {
        let named = self.newer.iter().find(|change| names(change).iter().any(|other| other == name));
        named.map(|change| &change.at).or(self.base.as_ref())
    }

    /// What `change` names has its position from now on.
    fn set(&mut self, change: SetByChange) {
        for older in &mut self.newer {
            older.columns.retain(|name| !change.columns.contains(name));
            older.overflow.retain(|name| !change.overflow.contains(name));
        }
        self.newer.retain(|older| !(older.columns.is_empty() && older.overflow.is_empty()));
        match self.newer.iter_mut().find(|same| same.at == change.at) {
            Some(same) => {
                same.columns.extend(change.columns);
                same.overflow.extend(change.overflow);
            }
            None => self.newer.push(change),
        }
    }

    /// Everything that is not newer has this position from now on.
    fn raise_base(&mut self, position: &Position) {
        self.base = Some(position.clone());
        self.newer.retain(|change| change.at > *position);
    }
}

/// Tells what `change`, which `plan` has made, does to the row that is stored.
pub fn merge<'a>(plan: &Plan, stored: StoredRow<'_>, change: RowChange<'a>) -> Merge<'a> {
    if stored.position.is_none_or(|position| change.position > *position) {
        merge_newest(plan, stored, change)
    } else if let Some(positions) = stored.columns {
        merge_late(plan, positions.clone(), change)
    } else {
        Merge::Stale
    }
}

fn merge_newest<'a>(plan: &Plan, stored: StoredRow<'_>, change: RowChange<'a>) -> Merge<'a> {
    let ChangeKind::Upsert { cells, overflow, .. } = &change.kind else { return Merge::Delete };
    if !change.is_partial() {
        return Merge::Write { change, is_newest: true, overflow: OverflowMerge::Replace, columns: None };
    }
    let uniform = || ColumnPositions::of_uniform(stored.position);
    let mut positions = stored.columns.cloned().unwrap_or_else(uniform);
    let set = plan.columns().iter().zip(cells).filter(|(_, cell)| !cell.is_kept());
    positions.set(SetByChange {
        at: change.position.clone(),
        columns: set.map(|(column, _)| column.name.clone()).collect(),
        overflow: overflow.iter().map(|(name, _)| name.to_string()).collect(),
    });
    Merge::Write { change, is_newest: true, overflow: OverflowMerge::Add, columns: Some(positions) }
}

fn merge_late<'a>(plan: &Plan, mut positions: ColumnPositions, mut change: RowChange<'a>) -> Merge<'a> {
    let at = change.position.clone();
    let is_newer = |known: Option<&Position>| known.is_none_or(|known| at > *known);
    let is_whole = !change.is_partial() && is_newer(positions.base.as_ref());
    if change.kind == ChangeKind::Delete && !is_whole {
        return Merge::Stale;
    }
    let (mut cells, mut overflow) = match change.kind {
        ChangeKind::Upsert { cells, overflow, .. } => (cells, overflow),
        ChangeKind::Delete => (cleared(plan), Vec::new()),
    };
    let mut set = SetByChange::nothing(at.clone());
    for (column, cell) in plan.columns().iter().zip(&mut cells).filter(|(_, cell)| !cell.is_kept()) {
        if !is_newer(positions.column(&column.name)) {
            *cell = Cell::Keep;
        } else if !is_whole {
            set.columns.push(column.name.clone());
        }
    }
    overflow.retain(|(name, _)| is_newer(positions.overflow(name)));
    let merge = if is_whole {
        positions.raise_base(&at);
        let mut names: Vec<_> =
            positions.newer.iter().flat_map(|change| change.overflow.iter().cloned()).collect();
        names.sort_unstable();
        OverflowMerge::Retain(names)
    } else {
        if overflow.is_empty() && cells.iter().all(Cell::is_kept) {
            return Merge::Stale;
        }
        set.overflow = overflow.iter().map(|(name, _)| name.to_string()).collect();
        positions.set(set);
        OverflowMerge::Add
    };
    change.kind = ChangeKind::Upsert { cells, overflow, keeps_overflow: !is_whole };
    Merge::Write { change, is_newest: false, overflow: merge, columns: Some(positions) }
}

/// Of a row that was deleted nothing is left but its key, and what newer changes set.
fn cleared(plan: &Plan) -> Vec<Cell<'static>> {
    let mut cells = vec![Cell::Set(Value::Null); plan.columns().len()];
    plan.key().iter().for_each(|index| cells[*index] = Cell::Keep);
    cells
}

/// As `bytea` prints it, without the prefix.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hex = String::with_capacity(2 * self.as_bytes().len());
        push_hex(&mut hex, self.as_bytes());
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(pair).collect();
        let bytes = bytes.ok_or_else(|| D::Error::custom("a position is written in hexadecimal digits"))?;
        Ok(Self::from_bytes(&bytes))
    }
}

#[cfg(test)]
#[path = "column_positions_tests.rs"]
mod tests;
