//! From an event to the changes of rows in one target table: keys, cells, overflow.

mod cells;
mod evaluate;
mod image;

use std::borrow::Cow;
use std::ops::Range;

use crate::envelope::{Event, Operation};
use crate::infer::{Widening, widen};
use crate::key;
use crate::reject::{ErrorType, Reject};
use crate::row::Row;
use crate::{ColumnRule, ColumnType, Position, Value};
use cells::overflow;
use evaluate::SlotRule;
use image::{Image, Slots};

/// What becomes of columns that have no place in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// They are kept in `extra_fields`.
    Overflow,
    /// A column is added to the target for them. Whoever applies the plan does that; what has no column yet is kept in
    /// `extra_fields`.
    Alter,
    /// The event is a dead letter.
    Reject,
}

/// What a delete does to the target's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// It removes the row.
    Delete,
    /// It keeps the row and sets `source_op` to `d`.
    Soft,
    /// It does nothing.
    Ignore,
}

/// A column of the target that events feed.
#[derive(Debug, Clone)]
pub struct TargetColumn {
    /// The column's name in the target.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Where its value comes from.
    pub rule: ColumnRule,
}

/// A plan that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The key names a column that the target does not have.
    #[error("key column {0:?} is not a column of the target")]
    UnknownKeyColumn(String),
    /// There is no key.
    #[error("the key has no columns")]
    EmptyKey,
}

/// The value of one column in one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// The column takes this value.
    Set(Value<'a>),
    /// The event did not send the column: the stored value stays.
    Keep,
}

impl Cell<'_> {
    /// Whether the stored value stays.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// The values of a key, and their bytes.
type Key<'a> = (Vec<Value<'a>>, Vec<u8>);

/// Columns without a place in the target: name and JSON.
type Overflow<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What is done to a row.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind<'a> {
    /// The row gets these cells, in the order of [`Plan::columns`].
    Upsert {
        /// One cell for each column of the plan.
        cells: Vec<Cell<'a>>,
        /// Columns without a place in the target.
        overflow: Overflow<'a>,
        /// Whether the event left the value of such a column out, so that what is stored of them stays.
        keeps_overflow: bool,
    },
    /// The row is removed.
    Delete,
}

/// A change of one row of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange<'a> {
    /// The values of the key columns, in the order of [`Plan::key`]; never NULL.
    pub key: Vec<Value<'a>>,
    /// The same as bytes that are equal exactly if the keys are.
    pub key_bytes: Vec<u8>,
    /// The position of the event.
    pub position: Position,
    /// The operation of the event.
    pub op: Operation,
    /// The source's time, microseconds since the Unix epoch.
    pub source_ts: Option<i64>,
    /// The earliest such time of this change and of those of its key that it made needless.
    pub first_ts: Option<i64>,
    /// The place of its message in the batch, to find it again when the row is refused.
    pub message: usize,
    /// What is done.
    pub kind: ChangeKind<'a>,
}

impl RowChange<'_> {
    /// Takes into account a time at which its key was seen.
    pub fn seen_at(&mut self, time: Option<i64>) {
        self.first_ts = self.first_ts.into_iter().chain(time).min();
    }

    /// Whether the change leaves some of the row as it is: values that were not sent.
    pub fn is_partial(&self) -> bool {
        match &self.kind {
            ChangeKind::Upsert { cells, keeps_overflow, .. } => {
                *keeps_overflow || cells.iter().any(Cell::is_kept)
            }
            ChangeKind::Delete => false,
        }
    }
}

/// How events of one source become rows of one target; made once for each configuration.
#[derive(Debug)]
pub struct Plan {
    columns: Vec<TargetColumn>,
    /// The rules of the columns.
    rules: Vec<SlotRule>,
    key: Vec<usize>,
    on_unknown: OnUnknown,
    on_delete: OnDelete,
    /// The place of the first column of `columns` that is a document.
    first_document: usize,
    slots: Slots,
}

impl Plan {
    /// Makes a plan. Columns are found by name without regard to case.
    ///
    /// # Errors
    /// [`PlanError`] if the key does not name columns of the target.
    pub fn new(
        columns: Vec<TargetColumn>,
        key: &[String],
        on_unknown: OnUnknown,
        on_delete: OnDelete,
        dropped: &[String],
    ) -> Result<Self, PlanError> {
        if key.is_empty() {
            return Err(PlanError::EmptyKey);
        }
        let find = |name: &String| {
            let found = columns.iter().position(|column| column.name == *name);
            found.ok_or_else(|| PlanError::UnknownKeyColumn(name.clone()))
        };
        let key = key.iter().map(find).collect::<Result<_, _>>()?;
        let mut slots = Slots::new(dropped);
        let rules = columns.iter().map(|column| SlotRule::new(&column.rule, &mut slots)).collect();
        Ok(Self { first_document: columns.len(), columns, rules, key, on_unknown, on_delete, slots })
    }

    /// Adds columns that are documents: planned as any column is, but not stored; their rows go to other tables.
    #[must_use]
    pub fn with_documents<'n>(mut self, source_columns: impl IntoIterator<Item = &'n str>) -> Self {
        for name in source_columns {
            // No column of a table has such a name in front of it by chance.
            let document = format!("document:{name}");
            let rule = ColumnRule::Column(name.to_owned());
            self.rules.push(SlotRule::new(&rule, &mut self.slots));
            self.columns.push(TargetColumn { name: document, column_type: ColumnType::Text, rule });
        }
        self
    }

    /// The places of the columns that are documents.
    pub fn documents(&self) -> Range<usize> {
        self.first_document..self.columns.len()
    }

    /// The columns of the target that events feed, and then the documents.
    pub fn columns(&self) -> &[TargetColumn] {
        &self.columns
    }

    /// The key, as indexes into [`Plan::columns`].
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// The key that [`RowChange::key_bytes`] are of; `None` if they are of no key with these columns.
    pub fn key_from_bytes(&self, bytes: &[u8]) -> Option<Vec<Value<'static>>> {
        let types = self.key.iter().map(|index| &self.columns[*index].column_type);
        key::from_bytes(types, bytes)
    }

    /// What a delete does to the target's row.
    pub fn on_delete(&self) -> OnDelete {
        self.on_delete
    }

    /// What becomes of columns that have no place in the target.
    pub fn on_unknown(&self) -> OnUnknown {
        self.on_unknown
    }

    /// The columns of the target that cannot hold what an event sends, with the types that could. Only columns that
    /// take one source column as it is.
    pub fn widenings(&self, event: &Event<'_>) -> Vec<(&str, ColumnType)> {
        let Some(row) = &event.after else { return Vec::new() };
        let image = self.slots.image(row);
        let stored = self.columns[..self.first_document].iter().zip(&self.rules);
        let widening = |column: &TargetColumn, rule: &SlotRule| match widen(
            &column.column_type,
            image.field(rule.as_column()?)?,
        ) {
            Widening::Becomes(wider) => Some(wider),
            Widening::Fits | Widening::Impossible(_) => None,
        };
        let widenings =
            stored.filter_map(|(column, rule)| Some((column.name.as_str(), widening(column, rule)?)));
        widenings.collect()
    }

    /// Whether a source column has a place: a column of the target is made from it, or it is dropped on purpose.
    pub fn expects(&self, source_column: &str) -> bool {
        self.slots.expect(source_column)
    }

    /// The changes an event makes, the event of the message at place `message` of its batch: mostly one; two when an update changed the key; none for what concerns no row.
    ///
    /// # Errors
    /// A [`Reject`] of type `SCHEMA_MISMATCH` that names the column, the value and the expected type.
    pub fn changes<'a>(&self, event: &Event<'a>, message: usize) -> Result<Vec<RowChange<'a>>, Reject> {
        let mut changes = Vec::with_capacity(1);
        self.each_change(event, message, |change| changes.push(change))?;
        Ok(changes)
    }

    /// The same, one after another.
    ///
    /// # Errors
    /// As [`Plan::changes`], and then there has been no change.
    pub fn each_change<'a>(
        &self,
        event: &Event<'a>,
        message: usize,
        mut take: impl FnMut(RowChange<'a>),
    ) -> Result<(), Reject> {
        match event.op {
            Operation::Create | Operation::Read => {
                let after = self.slots.image(required(&event.after, "after")?);
                take(self.upsert(event, message, &after, "after")?);
            }
            Operation::Update => self.update(event, message, take)?,
            Operation::Delete => self.delete(event, message)?.into_iter().for_each(take),
            Operation::Truncate => (),
        }
        Ok(())
    }

    fn update<'a>(
        &self,
        event: &Event<'a>,
        message: usize,
        mut take: impl FnMut(RowChange<'a>),
    ) -> Result<(), Reject> {
        let after = self.slots.image(required(&event.after, "after")?);
        let upsert = self.upsert(event, message, &after, "after")?;
        if let Some(row) = event.before.as_ref().filter(|row| !row.is_empty()) {
            let before = self.slots.image(row);
            let keeps_key =
                event.key.is_none() && self.key_rules().all(|rule| rule.reads_same(&before, &after));
            let old_key = if keeps_key { None } else { self.key_of(&before, None, "before").ok() };
            if let Some((key, key_bytes)) = old_key.filter(|(_, bytes)| *bytes != upsert.key_bytes) {
                take(change(event, message, key, key_bytes, ChangeKind::Delete));
            }
        }
        take(upsert);
        Ok(())
    }

    fn key_rules(&self) -> impl Iterator<Item = &SlotRule> {
        self.key.iter().map(|index| &self.rules[*index])
    }

    fn delete<'a>(&self, event: &Event<'a>, message: usize) -> Result<Option<RowChange<'a>>, Reject> {
        let before = event.before.as_ref().filter(|row| !row.is_empty());
        let (row, image) = before.map_or((event.after.as_ref(), "after"), |row| (Some(row), "before"));
        let no_columns;
        let row = match row {
            Some(row) => row,
            None if event.key.is_some() => {
                no_columns = Row::default();
                &no_columns
            }
            None => return Err(missing_image("before")),
        };
        let row = self.slots.image(row);
        match self.on_delete {
            OnDelete::Ignore => Ok(None),
            OnDelete::Soft => self.upsert(event, message, &row, image).map(Some),
            OnDelete::Delete => {
                let (key, key_bytes) = self.key_of(&row, event.key.as_ref(), image)?;
                Ok(Some(change(event, message, key, key_bytes, ChangeKind::Delete)))
            }
        }
    }

    fn upsert<'a>(
        &self,
        event: &Event<'a>,
        message: usize,
        row: &Image<'_, 'a>,
        image: &str,
    ) -> Result<RowChange<'a>, Reject> {
        if self.on_unknown == OnUnknown::Reject && row.overflow().len() > 0 {
            let names: Vec<&str> = row.overflow().map(|(name, _)| name.as_ref()).collect();
            let message = format!("columns unknown to the target: {}", names.join(", "));
            return Err(Reject::at(
                ErrorType::SchemaMismatch,
                format!("payload.{image}.{}", names[0]),
                message,
            ));
        }
        let ((key, key_bytes), cells) = self.key_and_cells(event, row, image)?;
        let overflow = overflow(row, image)?;
        let keeps_overflow = overflow.len() < row.overflow().len();
        let kind = ChangeKind::Upsert { cells, overflow, keeps_overflow };
        Ok(change(event, message, key, key_bytes, kind))
    }
}

fn change<'a>(
    event: &Event<'a>,
    message: usize,
    key: Vec<Value<'a>>,
    key_bytes: Vec<u8>,
    kind: ChangeKind<'a>,
) -> RowChange<'a> {
    let (position, op, source_ts) = (event.position.clone(), event.op, event.source_ts);
    RowChange { key, key_bytes, position, op, source_ts, first_ts: source_ts, message, kind }
}

fn required<'e, 'a>(row: &'e Option<Row<'a>>, image: &str) -> Result<&'e Row<'a>, Reject> {
    row.as_ref().ok_or_else(|| missing_image(image))
}

fn missing_image(image: &str) -> Reject {
    let message = format!("the event has no \"{image}\" image of the row");
    Reject::at(ErrorType::MalformedEvent, format!("payload.{image}"), message)
}

#[cfg(test)]
mod tests;
