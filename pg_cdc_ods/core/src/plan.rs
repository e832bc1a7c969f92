//! From an event to the changes of rows in one target table: keys, cells, overflow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::envelope::{Event, EventKey, Operation};
use crate::infer::{Widening, widen};
use crate::key::{self, push_key};
use crate::reject::{ErrorType, Reject};
use crate::row::{Field, Row};
use crate::{ColumnRule, ColumnType, Position, Value, ValueError, json};

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

/// What is done to a row.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind<'a> {
    /// The row gets these cells, in the order of [`Plan::columns`].
    Upsert {
        /// One cell for each column of the plan.
        cells: Vec<Cell<'a>>,
        /// Columns without a place in the target: name and JSON.
        overflow: Vec<(String, Cow<'a, str>)>,
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
                *keeps_overflow || cells.contains(&Cell::Keep)
            }
            ChangeKind::Delete => false,
        }
    }
}

/// How events of one source become rows of one target; made once for each configuration.
#[derive(Debug)]
pub struct Plan {
    columns: Vec<TargetColumn>,
    key: Vec<usize>,
    on_unknown: OnUnknown,
    on_delete: OnDelete,
    /// Columns that are neither stored nor overflow, e.g. XML that is extracted elsewhere.
    dropped: Vec<String>,
    /// The place of the first column of `columns` that is a document.
    first_document: usize,
    /// Source columns by name in lower case: the slot a value is put in, and whether it also overflows.
    slots: HashMap<String, Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    index: usize,
    overflows: bool,
}

/// The values of one row image, by slot.
struct Sent<'a> {
    fields: Vec<Option<Field<'a>>>,
    overflow: Vec<(String, Field<'a>)>,
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
        let mut slots: HashMap<String, Slot> = HashMap::new();
        for column in &columns {
            column.rule.visit_columns(&mut |name, keeps_all| {
                let index = slots.len();
                let slot = slots.entry(name.to_lowercase()).or_insert(Slot { index, overflows: true });
                slot.overflows &= !keeps_all;
            });
        }
        let dropped = dropped.iter().map(|name| name.to_lowercase()).collect();
        Ok(Self { first_document: columns.len(), columns, key, on_unknown, on_delete, dropped, slots })
    }

    /// Adds columns that are documents: planned as any column is, but not stored; their rows go to other tables.
    #[must_use]
    pub fn with_documents<'n>(mut self, source_columns: impl IntoIterator<Item = &'n str>) -> Self {
        for name in source_columns {
            let index = self.slots.len();
            self.slots.entry(name.to_lowercase()).or_insert(Slot { index, overflows: false }).overflows =
                false;
            // No column of a table has such a name in front of it by chance.
            let document = format!("document:{name}");
            let rule = ColumnRule::Column(name.to_owned());
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
        let sent = self.sent(row);
        let stored = &self.columns[..self.first_document];
        let widening = |column: &'_ TargetColumn| {
            let ColumnRule::Column(source) = &column.rule else { return None };
            let slot = self.slots.get(&source.to_lowercase())?;
            match widen(&column.column_type, sent.fields[slot.index]?) {
                Widening::Becomes(wider) => Some(wider),
                Widening::Fits | Widening::Impossible(_) => None,
            }
        };
        stored.iter().filter_map(|column| Some((column.name.as_str(), widening(column)?))).collect()
    }

    /// Whether a source column has a place: a column of the target is made from it, or it is dropped on purpose.
    pub fn expects(&self, source_column: &str) -> bool {
        let lower = lower_case(source_column);
        self.slots.contains_key(lower.as_ref()) || self.dropped.iter().any(|dropped| *dropped == lower)
    }

    /// The changes an event makes, the event of the message at place `message` of its batch: mostly one; two when an update changed the key; none for what concerns no row.
    ///
    /// # Errors
    /// A [`Reject`] of type `SCHEMA_MISMATCH` that names the column, the value and the expected type.
    pub fn changes<'a>(&self, event: &Event<'a>, message: usize) -> Result<Vec<RowChange<'a>>, Reject> {
        match event.op {
            Operation::Create | Operation::Read => {
                Ok(vec![self.upsert(event, message, required(&event.after, "after")?, "after")?])
            }
            Operation::Update => self.update(event, message),
            Operation::Delete => self.delete(event, message),
            Operation::Truncate => Ok(Vec::new()),
        }
    }

    fn update<'a>(&self, event: &Event<'a>, message: usize) -> Result<Vec<RowChange<'a>>, Reject> {
        let upsert = self.upsert(event, message, required(&event.after, "after")?, "after")?;
        let before = event.before.as_ref().filter(|row| !row.is_empty());
        let old_key = before.and_then(|row| self.key_of(row, &self.sent(row), None, "before").ok());
        let mut changes = Vec::with_capacity(1);
        if let Some((key, key_bytes)) = old_key.filter(|(_, bytes)| *bytes != upsert.key_bytes) {
            changes.push(change(event, message, key, key_bytes, ChangeKind::Delete));
        }
        changes.push(upsert);
        Ok(changes)
    }

    fn delete<'a>(&self, event: &Event<'a>, message: usize) -> Result<Vec<RowChange<'a>>, Reject> {
        let before = event.before.as_ref().filter(|row| !row.is_empty());
        let (row, image) = before.map_or((event.after.as_ref(), "after"), |row| (Some(row), "before"));
        let no_columns = Row::default();
        let row = match row {
            Some(row) => row,
            None if event.key.is_some() => &no_columns,
            None => return Err(missing_image("before")),
        };
        match self.on_delete {
            OnDelete::Ignore => Ok(Vec::new()),
            OnDelete::Soft => Ok(vec![self.upsert(event, message, row, image)?]),
            OnDelete::Delete => {
                let (key, key_bytes) = self.key_of(row, &self.sent(row), event.key.as_ref(), image)?;
                Ok(vec![change(event, message, key, key_bytes, ChangeKind::Delete)])
            }
        }
    }

    fn upsert<'a>(
        &self,
        event: &Event<'a>,
        message: usize,
        row: &Row<'a>,
        image: &str,
    ) -> Result<RowChange<'a>, Reject> {
        let mut sent = self.sent(row);
        if self.on_unknown == OnUnknown::Reject && !sent.overflow.is_empty() {
            let names: Vec<&str> = sent.overflow.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("columns unknown to the target: {}", names.join(", "));
            return Err(Reject::at(
                ErrorType::SchemaMismatch,
                format!("payload.{image}.{}", names[0]),
                message,
            ));
        }
        let sent_fields = sent.overflow.len();
        sent.overflow.retain(|(_, field)| !field.is_unavailable());
        let keeps_overflow = sent.overflow.len() < sent_fields;
        let (key, key_bytes) = self.key_of(row, &sent, event.key.as_ref(), image)?;
        // Only an update may leave columns out, and a delete, which often tells nothing but the key; else it is the whole
        // row.
        let is_partial = matches!(event.op, Operation::Update | Operation::Delete);
        let absent = if is_partial { Cell::Keep } else { Cell::Set(Value::Null) };
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            cells.push(match self.evaluate(&column.rule, &sent) {
                Raw::Absent => absent.clone(),
                Raw::Unavailable => Cell::Keep,
                raw => Cell::Set(
                    read(column, raw).map_err(|error| mismatch(image, source_name(column, row), &error))?,
                ),
            });
        }
        if event.key.is_some() {
            for (index, value) in self.key.iter().zip(&key) {
                cells[*index] = Cell::Set(value.clone());
            }
        }
        let kind = ChangeKind::Upsert { cells, overflow: overflow(sent.overflow, image)?, keeps_overflow };
        Ok(change(event, message, key, key_bytes, kind))
    }

    fn sent<'a>(&self, row: &Row<'a>) -> Sent<'a> {
        let mut sent = Sent { fields: vec![None; self.slots.len()], overflow: Vec::new() };
        for (name, field) in row.fields() {
            let lower = lower_case(name);
            let slot = self.slots.get(lower.as_ref());
            if let Some(slot) = slot {
                sent.fields[slot.index] = Some(field);
            }
            if slot.is_none_or(|slot| slot.overflows) && !self.dropped.iter().any(|dropped| *dropped == lower)
            {
                sent.overflow.retain(|(known, _)| known != name);
                sent.overflow.push((name.to_owned(), field));
            }
        }
        sent
    }

    /// The key: from the columns of the message's key, else from the row, else from a message key without columns.
    fn key_of<'a>(
        &self,
        row: &Row<'a>,
        sent: &Sent<'a>,
        message_key: Option<&EventKey<'a>>,
        image: &str,
    ) -> Result<(Vec<Value<'a>>, Vec<u8>), Reject> {
        let (sent_in_key, scalar) = match message_key {
            Some(EventKey::Columns(columns)) => (Some(self.sent(columns)), None),
            Some(EventKey::Scalar(text)) if self.key.len() == 1 => (None, Some(text)),
            _ => (None, None),
        };
        let mut key = Vec::with_capacity(self.key.len());
        let mut bytes = Vec::with_capacity(self.key.len() * 12);
        for index in &self.key {
            let column = &self.columns[*index];
            let images = [sent_in_key.as_ref(), Some(sent)].into_iter().flatten();
            let found = images.map(|sent| self.evaluate(&column.rule, sent)).find(Raw::is_value);
            let found = found.or_else(|| scalar.map(|text| Raw::Text(text.clone())));
            let value = found.map_or(Ok(Value::Null), |raw| read(column, raw));
            let value = value.map_err(|error| mismatch(image, source_name(column, row), &error))?;
            if value == Value::Null {
                let path = format!("payload.{image}.{}", source_name(column, row));
                let message = format!("the key column {} is missing or null", source_name(column, row));
                return Err(Reject::at(ErrorType::SchemaMismatch, path, message));
            }
            push_key(&mut bytes, &value);
            key.push(value);
        }
        Ok((key, bytes))
    }

    fn evaluate<'a>(&self, rule: &ColumnRule, sent: &Sent<'a>) -> Raw<'a> {
        let field = |column: &str| sent.fields[self.slots[&column.to_lowercase()].index];
        match rule {
            ColumnRule::Column(column) => Raw::of(field(column)),
            ColumnRule::Typed { column, semantic } => {
                Raw::of(field(column).map(|field| Field { semantic: *semantic, ..field }))
            }
            ColumnRule::FirstOf(rules) => {
                let sent_ones = rules.iter().map(|rule| self.evaluate(rule, sent));
                sent_ones.into_iter().find(|raw| !matches!(raw, Raw::Absent)).unwrap_or(Raw::Absent)
            }
            ColumnRule::Join { columns, separator } => {
                let sent_ones: Vec<Field<'a>> = columns.iter().filter_map(|column| field(column)).collect();
                if sent_ones.is_empty() {
                    return Raw::Absent;
                }
                if sent_ones.iter().any(|field| field.is_unavailable()) {
                    return Raw::Unavailable;
                }
                let texts: Vec<_> =
                    sent_ones.into_iter().filter(|field| !field.is_null()).map(plain_text).collect();
                if texts.is_empty() { Raw::Field(NULL) } else { Raw::Text(texts.join(separator)) }
            }
            ColumnRule::Equals { column, text } => match field(column) {
                None => Raw::Absent,
                Some(field) if field.is_unavailable() => Raw::Unavailable,
                Some(field) if field.is_null() => Raw::Field(NULL),
                Some(field) => {
                    Raw::Field(Field::untyped(if plain_text(field) == *text { "true" } else { "false" }))
                }
            },
        }
    }
}

/// What a rule found.
enum Raw<'a> {
    Absent,
    Unavailable,
    Field(Field<'a>),
    Text(String),
}

const NULL: Field<'static> = Field::untyped("null");

impl<'a> Raw<'a> {
    fn of(field: Option<Field<'a>>) -> Self {
        match field {
            None => Self::Absent,
            Some(field) if field.is_unavailable() => Self::Unavailable,
            Some(field) => Self::Field(field),
        }
    }

    fn is_value(&self) -> bool {
        match self {
            Self::Absent | Self::Unavailable => false,
            Self::Field(field) => !field.is_null(),
            Self::Text(_) => true,
        }
    }
}

/// The columns without a place in the target as JSON.
fn overflow<'a>(
    fields: Vec<(String, Field<'a>)>,
    image: &str,
) -> Result<Vec<(String, Cow<'a, str>)>, Reject> {
    let to_json = |(name, field): (String, Field<'a>)| match field.to_json() {
        Ok(json) => Ok((name, json)),
        Err(error) => Err(mismatch(image, &name, &error)),
    };
    fields.into_iter().map(to_json).collect()
}

fn read<'a>(column: &TargetColumn, raw: Raw<'a>) -> Result<Value<'a>, ValueError> {
    match raw {
        Raw::Field(field) => column.column_type.convert(field),
        Raw::Text(text) => column.column_type.read_text(Cow::Owned(text)),
        Raw::Absent | Raw::Unavailable => Ok(Value::Null),
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

/// The text of a value: of a string its characters, of any other its JSON.
fn plain_text(field: Field<'_>) -> Cow<'_, str> {
    match field.to_json() {
        Ok(Cow::Owned(json)) => Cow::Owned(json::string(&json).map_or_else(|| json.clone(), Cow::into_owned)),
        _ => json::string(field.raw).unwrap_or(Cow::Borrowed(field.raw)),
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.chars().any(char::is_uppercase) { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoded, decode};
    use serde_json::json;

    fn column(name: &str, column_type: ColumnType, rule: serde_json::Value) -> TargetColumn {
        TargetColumn { name: name.into(), column_type, rule: ColumnRule::from_json(&rule).unwrap() }
    }

    fn customers(on_unknown: OnUnknown, on_delete: OnDelete) -> Plan {
        let columns = vec![
            column("id", ColumnType::Int8, json!("ID")),
            column("name", ColumnType::Text, json!([{"join": ["FIRST", "LAST"], "separator": " "}, "NAME"])),
            column("active", ColumnType::Bool, json!([{"column": "STATUS", "equals": "ACTIVE"}])),
        ];
        Plan::new(columns, &["id".into()], on_unknown, on_delete, &["DOC".into()]).unwrap()
    }

    fn overflow_plan() -> Plan {
        customers(OnUnknown::Overflow, OnDelete::Delete)
    }

    fn changes<'a>(plan: &Plan, body: &'a str) -> Result<Vec<RowChange<'a>>, Reject> {
        match decode("x/S/T/op", body.as_bytes(), 1).unwrap() {
            Decoded::Change(event) => plan.changes(&event, 1),
            Decoded::Control(_) => panic!("a control message"),
        }
    }

    fn cells<'c, 'a>(change: &'c RowChange<'a>) -> &'c [Cell<'a>] {
        match &change.kind {
            ChangeKind::Upsert { cells, .. } => cells,
            ChangeKind::Delete => panic!("a delete"),
        }
    }

    #[test]
    fn rules_make_the_cells_and_the_rest_overflows() {
        let body = r#"{"op":"c","after":{"ID":7,"FIRST":"Ann","LAST":"Lee","STATUS":"GONE","TEL":"1","DOC":"<x/>"}}"#;
        let change = &changes(&overflow_plan(), body).unwrap()[0];
        let expected = [Value::Int(7), Value::Text("Ann Lee".into()), Value::Bool(false)].map(Cell::Set);
        assert_eq!(cells(change), expected);
        let ChangeKind::Upsert { overflow, .. } = &change.kind else { panic!("a delete") };
        // A comparison loses what STATUS said, so STATUS overflows as well; DOC is dropped.
        assert_eq!(*overflow, [("STATUS".to_owned(), "\"GONE\"".into()), ("TEL".to_owned(), "\"1\"".into())]);
    }

    #[test]
    fn what_a_create_leaves_out_is_null_and_what_an_update_leaves_out_stays() {
        let create = &changes(&overflow_plan(), r#"{"op":"c","after":{"ID":7}}"#).unwrap()[0];
        assert_eq!(cells(create)[1], Cell::Set(Value::Null));
        let update = r#"{"op":"u","after":{"ID":7,"NAME":"__debezium_unavailable_value"}}"#;
        let update = &changes(&overflow_plan(), update).unwrap()[0];
        assert_eq!(cells(update)[1..], [Cell::Keep, Cell::Keep]);
        assert!(update.is_partial() && !create.is_partial());
        let unsent =
            r#"{"op":"u","after":{"ID":7,"NAME":"a","STATUS":"b","TEL":"__debezium_unavailable_value"}}"#;
        assert!(changes(&overflow_plan(), unsent).unwrap()[0].is_partial());
    }

    #[test]
    fn what_is_made_of_a_value_that_was_not_available_stays() {
        let body = r#"{"op":"u","after":{"ID":7,"FIRST":"Ann","LAST":"__debezium_unavailable_value",
            "STATUS":"__debezium_unavailable_value"}}"#;
        assert_eq!(cells(&changes(&overflow_plan(), body).unwrap()[0])[1..], [Cell::Keep, Cell::Keep]);
    }

    #[test]
    fn what_a_soft_delete_leaves_out_stays() {
        let soft = customers(OnUnknown::Overflow, OnDelete::Soft);
        let delete = r#"{"op":"d","before":{"ID":7,"NAME":null},"after":null}"#;
        assert_eq!(cells(&changes(&soft, delete).unwrap()[0])[1..], [Cell::Set(Value::Null), Cell::Keep]);
    }

    #[test]
    fn an_update_of_the_key_moves_the_row() {
        let body = r#"{"op":"u","before":{"ID":1},"after":{"ID":2,"NAME":"a","STATUS":"ACTIVE"}}"#;
        let moved = changes(&overflow_plan(), body).unwrap();
        assert_eq!(moved.len(), 2);
        assert_eq!((&moved[0].kind, &moved[0].key), (&ChangeKind::Delete, &vec![Value::Int(1)]));
        assert_eq!(moved[1].key, [Value::Int(2)]);
    }

    #[test]
    fn a_delete_takes_its_key_from_before_and_follows_the_policy() {
        let body = r#"{"op":"d","before":{"ID":1},"after":null}"#;
        assert_eq!(changes(&overflow_plan(), body).unwrap()[0].kind, ChangeKind::Delete);
        assert!(changes(&customers(OnUnknown::Overflow, OnDelete::Ignore), body).unwrap().is_empty());
        let soft = changes(&customers(OnUnknown::Overflow, OnDelete::Soft), body).unwrap();
        assert!(matches!(soft[0].kind, ChangeKind::Upsert { .. }));
    }

    #[test]
    fn a_misfit_names_the_column_the_value_and_the_type() {
        let error = changes(&overflow_plan(), r#"{"op":"c","after":{"ID":"x7"}}"#).unwrap_err();
        assert_eq!(error.error_type, ErrorType::SchemaMismatch);
        assert_eq!(error.path, "payload.after.ID");
        assert_eq!(error.message, "column ID: expected a bigint, found x7");
    }

    #[test]
    fn a_key_must_be_there() {
        for body in [r#"{"op":"c","after":{"NAME":"a"}}"#, r#"{"op":"d","before":{"ID":null}}"#] {
            assert!(changes(&overflow_plan(), body).unwrap_err().message.contains("key column ID"), "{body}");
        }
        assert_eq!(changes(&overflow_plan(), r#"{"op":"c"}"#).unwrap_err().path, "payload.after");
    }

    #[test]
    fn unknown_columns_can_be_refused() {
        let plan = customers(OnUnknown::Reject, OnDelete::Delete);
        let error = changes(&plan, r#"{"op":"c","after":{"ID":1,"TEL":"1","FAX":"2"}}"#).unwrap_err();
        assert!(error.message.ends_with("TEL, FAX"), "{}", error.message);
    }
}
