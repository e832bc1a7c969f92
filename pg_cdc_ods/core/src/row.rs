//! A row image: the columns of an event, with what its schema says of each.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::schema::{Schema, SemanticType};
use crate::{ValueError, json};

/// The value of one column as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The JSON text.
    pub raw: &'a str,
    /// What it means; [`SemanticType::UNKNOWN`] without a schema.
    pub semantic: SemanticType,
}

impl<'a> Field<'a> {
    /// A value of which nothing but its JSON is known.
    pub const fn untyped(raw: &'a str) -> Self {
        Self { raw, semantic: SemanticType::UNKNOWN }
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        self.raw == "null"
    }

    /// Whether it is Debezium's placeholder for "unchanged, not sent".
    pub fn is_unavailable(self) -> bool {
        json::is_unavailable(self.raw)
    }

    /// The value as JSON that tells all that the schema told, fit for `jsonb`: decimals as numbers, dates and times as
    /// ISO text. Without a schema it is the JSON as it came.
    ///
    /// # Errors
    /// [`ValueError`] if `jsonb` cannot hold it, or if it is not what its schema says.
    pub fn to_json(self) -> Result<Cow<'a, str>, ValueError> {
        crate::value::to_json(self)
    }
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(raw: &'a str) -> Self {
        Self::untyped(raw)
    }
}

/// The names of the columns of a row, in its order. Rows that have the same may share them.
#[derive(Debug)]
pub(crate) struct ColumnNames<'a> {
    names: Vec<Cow<'a, str>>,
    id: u64,
}

impl<'a> ColumnNames<'a> {
    pub(crate) fn new(names: Vec<Cow<'a, str>>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self { names, id: NEXT_ID.fetch_add(1, Ordering::Relaxed) }
    }

    /// The names themselves.
    pub(crate) fn as_slice(&self) -> &[Cow<'a, str>] {
        &self.names
    }

    /// A number that no other names have had since the program began. By it, and without a look at the names, whoever
    /// remembers something of them finds that a row has them again.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

/// A row image: column names and their values, in the order of the event.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    names: Arc<ColumnNames<'a>>,
    fields: Vec<Field<'a>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: Vec<(Cow<'a, str>, Field<'a>)>) -> Self {
        let (names, fields) = columns.into_iter().unzip();
        Self { names: Arc::new(ColumnNames::new(names)), fields }
    }

    /// A row of the same columns as others; there is a value for each name.
    pub(crate) fn of(names: Arc<ColumnNames<'a>>, fields: Vec<Field<'a>>) -> Self {
        debug_assert_eq!(names.names.len(), fields.len());
        Self { names, fields }
    }

    /// The columns and their JSON in the order of the event; where a name comes twice, the later one counts.
    pub fn columns(&self) -> impl DoubleEndedIterator<Item = (&str, &'a str)> {
        self.fields().map(|(name, field)| (name, field.raw))
    }

    /// The columns with what their schema says of them, in the same order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&str, Field<'a>)> {
        self.names.names.iter().map(AsRef::as_ref).zip(self.fields.iter().copied())
    }

    /// The names of the columns.
    pub(crate) fn names(&self) -> &ColumnNames<'a> {
        &self.names
    }

    /// The column at a place below [`Row::len`].
    pub(crate) fn at(&self, place: usize) -> (&Cow<'a, str>, Field<'a>) {
        (&self.names.names[place], self.fields[place])
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether the image has no columns at all, as the `before` of some updates.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Gives the columns the types that a schema has for them.
    pub(crate) fn set_types(&mut self, schema: &Schema) {
        for (place, (name, field)) in self.names.names.iter().zip(&mut self.fields).enumerate() {
            field.semantic = schema.semantic_at(place, name);
        }
    }
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl PartialEq for Row<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.names.names == other.names.names && self.fields == other.fields
    }
}

impl Eq for Row<'_> {}
