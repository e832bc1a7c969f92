//! What stands in a row: the key, the cells of the target's columns, and what overflows.

use std::borrow::Cow;

use super::evaluate::Raw;
use super::image::{Image, lower_case};
use super::{Cell, Key, Overflow, Plan, TargetColumn};
use crate::envelope::{Event, EventKey, Operation};
use crate::key::push_key;
use crate::reject::{ErrorType, Reject};
use crate::row::Row;
use crate::{ColumnRule, Value, ValueError};

/// Room for a value in the bytes of a key: its length, and as many digits as most keys have.
const KEY_VALUE_BYTES: usize = 4 + 8;

impl Plan {
    /// The key and the cells of a row. The key mostly stands in the cells.
    pub(super) fn key_and_cells<'a>(
        &self,
        event: &Event<'a>,
        row: &Image<'_, 'a>,
        image: &str,
    ) -> Result<(Key<'a>, Vec<Cell<'a>>), Reject> {
        if event.key.is_none()
            && let Ok(cells) = self.cells(event, row, image)
            && let Some(key) = self.key_in(&cells)
        {
            return Ok((key, cells));
        }
        // Where both are wrong, the key is what is told.
        let (key, key_bytes) = self.key_of(row, event.key.as_ref(), image)?;
        let mut cells = self.cells(event, row, image)?;
        if event.key.is_some() {
            for (index, value) in self.key.iter().zip(&key) {
                cells[*index] = Cell::Set(value.clone());
            }
        }
        Ok(((key, key_bytes), cells))
    }

    /// The key that stands in the cells, if all of it does.
    fn key_in<'a>(&self, cells: &[Cell<'a>]) -> Option<Key<'a>> {
        let mut key = Vec::with_capacity(self.key.len());
        let mut bytes = Vec::with_capacity(self.key.len() * KEY_VALUE_BYTES);
        for index in &self.key {
            match &cells[*index] {
                Cell::Set(Value::Null) | Cell::Keep => return None,
                Cell::Set(value) => {
                    push_key(&mut bytes, value);
                    key.push(value.clone());
                }
            }
        }
        Some((key, bytes))
    }

    fn cells<'a>(
        &self,
        event: &Event<'a>,
        row: &Image<'_, 'a>,
        image: &str,
    ) -> Result<Vec<Cell<'a>>, Reject> {
        // Only an update may leave columns out, and a delete, which often tells nothing but the key; else it is the whole
        // row.
        let is_partial = matches!(event.op, Operation::Update | Operation::Delete);
        let mut cells = Vec::with_capacity(self.columns.len());
        for (column, rule) in self.columns.iter().zip(&self.rules) {
            cells.push(match rule.evaluate(row) {
                Raw::Absent if !is_partial => Cell::Set(Value::Null),
                Raw::Absent | Raw::Unavailable => Cell::Keep,
                raw => Cell::Set(
                    read(column, raw)
                        .map_err(|error| mismatch(image, source_name(column, row.row()), &error))?,
                ),
            });
        }
        Ok(cells)
    }

    /// The key: from the columns of the message's key, else from the row, else from a message key without columns.
    pub(super) fn key_of<'a>(
        &self,
        row: &Image<'_, 'a>,
        message_key: Option<&EventKey<'a>>,
        image: &str,
    ) -> Result<Key<'a>, Reject> {
        let (key_row, scalar) = match message_key {
            Some(EventKey::Columns(columns)) => (Some(self.slots.image(columns)), None),
            Some(EventKey::Scalar(text)) if self.key.len() == 1 => (None, Some(text)),
            _ => (None, None),
        };
        let mut key = Vec::with_capacity(self.key.len());
        let mut bytes = Vec::with_capacity(self.key.len() * KEY_VALUE_BYTES);
        for (index, rule) in self.key.iter().zip(self.key_rules()) {
            let column = &self.columns[*index];
            let images = [key_row.as_ref(), Some(row)].into_iter().flatten();
            let found = images.map(|image| rule.evaluate(image)).find(Raw::is_value);
            let found = found.or_else(|| scalar.map(|text| Raw::Text(text.clone())));
            let value = found.map_or(Ok(Value::Null), |raw| read(column, raw));
            let value = value.map_err(|error| mismatch(image, source_name(column, row.row()), &error))?;
            if matches!(value, Value::Null) {
                let name = source_name(column, row.row());
                let message = format!("the key column {name} is missing or null");
                return Err(Reject::at(
                    ErrorType::SchemaMismatch,
                    format!("payload.{image}.{name}"),
                    message,
                ));
            }
            push_key(&mut bytes, &value);
            key.push(value);
        }
        Ok((key, bytes))
    }
}

/// The columns without a place in the target as JSON, those that were sent.
pub(super) fn overflow<'a>(row: &Image<'_, 'a>, image: &str) -> Result<Overflow<'a>, Reject> {
    let mut overflow = Vec::with_capacity(row.overflow().len());
    for (name, field) in row.overflow().filter(|(_, field)| !field.is_unavailable()) {
        overflow.push((name.clone(), field.to_json().map_err(|error| mismatch(image, name, &error))?));
    }
    Ok(overflow)
}

fn read<'a>(column: &TargetColumn, raw: Raw<'a>) -> Result<Value<'a>, ValueError> {
    match raw {
        Raw::Field(field) => column.column_type.convert(field),
        Raw::Text(text) => column.column_type.read_text(Cow::Owned(text)),
        Raw::Absent | Raw::Unavailable => Ok(Value::Null),
    }
}

fn mismatch(image: &str, column: &str, error: &ValueError) -> Reject {
    let message = format!("column {column}: {error}");
    Reject::at(error.error_type, format!("payload.{image}.{column}"), message)
}

/// The name of the source column that an error is about, as the event spells it: the first that the rule reads.
fn source_name<'n>(column: &'n TargetColumn, row: &'n Row<'_>) -> &'n str {
    fn first(rule: &ColumnRule) -> Option<&str> {
        match rule {
            ColumnRule::Column(column)
            | ColumnRule::Typed { column, .. }
            | ColumnRule::Equals { column, .. } => Some(column),
            ColumnRule::FirstOf(rules) => rules.first().and_then(first),
            ColumnRule::Join { columns, .. } => columns.first().map(String::as_str),
        }
    }
    let configured = first(&column.rule).unwrap_or(&column.name);
    let spelled = row.columns().map(|(name, _)| name);
    spelled.into_iter().find(|name| lower_case(name) == lower_case(configured)).unwrap_or(configured)
}
