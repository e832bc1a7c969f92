//! Column rules with the slots of the columns that they read, and what they find in a row.

use std::borrow::Cow;

use super::image::{Image, Slots};
use crate::row::Field;
use crate::schema::SemanticType;
use crate::{ColumnRule, json};

/// A [`ColumnRule`] whose source columns are slots.
#[derive(Debug)]
pub(super) enum SlotRule {
    Column(usize),
    Typed { slot: usize, semantic: SemanticType },
    FirstOf(Vec<SlotRule>),
    Join { slots: Vec<usize>, separator: String },
    Equals { slot: usize, text: String },
}

/// What a rule found.
pub(super) enum Raw<'a> {
    Absent,
    Unavailable,
    Field(Field<'a>),
    Text(String),
}

const NULL: Field<'static> = Field::untyped("null");

impl SlotRule {
    /// Gives each source column of a rule its slot.
    pub(super) fn new(rule: &ColumnRule, slots: &mut Slots) -> Self {
        match rule {
            ColumnRule::Column(column) => Self::Column(slots.add(column, true)),
            ColumnRule::Typed { column, semantic } => {
                Self::Typed { slot: slots.add(column, true), semantic: *semantic }
            }
            ColumnRule::FirstOf(rules) => {
                Self::FirstOf(rules.iter().map(|rule| Self::new(rule, slots)).collect())
            }
            ColumnRule::Join { columns, separator } => Self::Join {
                slots: columns.iter().map(|column| slots.add(column, true)).collect(),
                separator: separator.clone(),
            },
            // The target does not keep all that the column says.
            ColumnRule::Equals { column, text } => {
                Self::Equals { slot: slots.add(column, false), text: text.clone() }
            }
        }
    }

    /// Finds the value in a row.
    pub(super) fn evaluate<'a>(&self, image: &Image<'_, 'a>) -> Raw<'a> {
        match self {
            Self::Column(slot) => Raw::of(image.field(*slot)),
            Self::Typed { slot, semantic } => {
                Raw::of(image.field(*slot).map(|field| Field { semantic: *semantic, ..field }))
            }
            Self::FirstOf(rules) => {
                let sent_ones = rules.iter().map(|rule| rule.evaluate(image));
                sent_ones.into_iter().find(|raw| !matches!(raw, Raw::Absent)).unwrap_or(Raw::Absent)
            }
            Self::Join { slots, separator } => {
                let sent_ones = || slots.iter().filter_map(|slot| image.field(*slot));
                if sent_ones().next().is_none() {
                    return Raw::Absent;
                }
                if sent_ones().any(Field::is_unavailable) {
                    return Raw::Unavailable;
                }
                let mut texts = sent_ones().filter(|field| !field.is_null()).map(plain_text);
                let Some(first) = texts.next() else { return Raw::Field(NULL) };
                let join = |text: String, next: Cow<'a, str>| text + separator + &next;
                Raw::Text(texts.fold(first.into_owned(), join))
            }
            Self::Equals { slot, text } => match image.field(*slot) {
                None => Raw::Absent,
                Some(field) if field.is_unavailable() => Raw::Unavailable,
                Some(field) if field.is_null() => Raw::Field(NULL),
                Some(field) => {
                    Raw::Field(Field::untyped(if plain_text(field) == *text { "true" } else { "false" }))
                }
            },
        }
    }

    /// Whether the columns that the rule reads are the same in two rows.
    pub(super) fn reads_same(&self, one: &Image<'_, '_>, other: &Image<'_, '_>) -> bool {
        let is_same = |slot: &usize| one.field(*slot) == other.field(*slot);
        match self {
            Self::Column(slot) | Self::Typed { slot, .. } | Self::Equals { slot, .. } => is_same(slot),
            Self::FirstOf(rules) => rules.iter().all(|rule| rule.reads_same(one, other)),
            Self::Join { slots, .. } => slots.iter().all(is_same),
        }
    }

    /// The slot of a rule that takes one column as it is.
    pub(super) fn as_column(&self) -> Option<usize> {
        match self {
            Self::Column(slot) => Some(*slot),
            _ => None,
        }
    }
}

impl<'a> Raw<'a> {
    fn of(field: Option<Field<'a>>) -> Self {
        match field {
            None => Self::Absent,
            Some(field) if field.is_unavailable() => Self::Unavailable,
            Some(field) => Self::Field(field),
        }
    }

    pub(super) fn is_value(&self) -> bool {
        match self {
            Self::Absent | Self::Unavailable => false,
            Self::Field(field) => !field.is_null(),
            Self::Text(_) => true,
        }
    }
}

/// The text of a value: of a string its characters, of any other its JSON.
fn plain_text(field: Field<'_>) -> Cow<'_, str> {
    match field.to_json() {
        Ok(Cow::Owned(json)) => Cow::Owned(json::string(&json).map_or_else(|| json.clone(), Cow::into_owned)),
        _ => json::string(field.raw).unwrap_or(Cow::Borrowed(field.raw)),
    }
}
