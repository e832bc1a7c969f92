//! A row image: the columns of an event, with what its schema says of each.

use std::borrow::Cow;

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

/// A row image: column names and their values, in the order of the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row<'a>(Vec<(Cow<'a, str>, Field<'a>)>);

impl<'a> Row<'a> {
    pub(crate) fn new(columns: Vec<(Cow<'a, str>, Field<'a>)>) -> Self {
        Self(columns)
    }

    /// The columns and their JSON in the order of the event; where a name comes twice, the later one counts.
    pub fn columns(&self) -> impl DoubleEndedIterator<Item = (&str, &'a str)> {
        self.fields().map(|(name, field)| (name, field.raw))
    }

    /// The columns with what their schema says of them, in the same order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&str, Field<'a>)> {
        self.0.iter().map(|(name, field)| (name.as_ref(), *field))
    }

    /// The column at a place below [`Row::len`].
    pub(crate) fn at(&self, place: usize) -> (&Cow<'a, str>, Field<'a>) {
        let (name, field) = &self.0[place];
        (name, *field)
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the image has no columns at all, as the `before` of some updates.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the columns the types that a schema has for them.
    pub(crate) fn set_types(&mut self, schema: &Schema) {
        for (place, (name, field)) in self.0.iter_mut().enumerate() {
            field.semantic = schema.semantic_at(place, name);
        }
    }
}
