//! Random events, before they are written as JSON.

use proptest::prelude::*;

use crate::target::Target;

/// A key: for each of its columns the place of a sample.
pub(crate) type Key = Vec<usize>;

/// The number of different values in a column of the key: few, so that events meet.
const KEY_VALUES: usize = 3;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Read,
    Update,
    Delete,
}

impl Op {
    /// Debezium's letter.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Read => "r",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }
}

/// What an event says of a source column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Nothing at all.
    Absent,
    /// That it has not changed, and is not sent.
    Unavailable,
    Null,
    /// One of the samples of its kind, in one of its spellings; both counted round and round.
    Value {
        sample: usize,
        spelling: usize,
    },
}

/// Where an event tells its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    Row,
    MessageKey,
    Both,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) op: Op,
    pub(crate) key: Key,
    /// The key before, of an update that changed it.
    pub(crate) old_key: Option<Key>,
    /// One for each of [`Target::source_columns`]. A delete sends them as they were before.
    pub(crate) fields: Vec<Field>,
    pub(crate) key_place: KeyPlace,
    /// Which of the spellings the key has.
    pub(crate) key_spelling: usize,
    /// Whether names of columns are in lower case, as some connectors write them.
    pub(crate) is_lower_case: bool,
    /// Whether the envelope stands in a `payload`.
    pub(crate) is_wrapped: bool,
}

/// What comes of a column without thought of those beside it.
fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => Just(Field::Absent),
        1 => Just(Field::Unavailable),
        1 => Just(Field::Null),
        4 => any_value(),
    ]
}

fn any_value() -> impl Strategy<Value = Field> {
    (0..12_usize, 0..12_usize).prop_map(|(sample, spelling)| Field::Value { sample, spelling })
}

/// Whole rows, rows with gaps, and hardly anything at all.
fn any_fields(count: usize) -> impl Strategy<Value = Vec<Field>> {
    prop_oneof![
        3 => prop::collection::vec(prop_oneof![1 => Just(Field::Null), 4 => any_value()], count),
        4 => prop::collection::vec(any_field(), count),
        1 => Just(vec![Field::Absent; count]),
    ]
}

fn any_event(target: &Target) -> impl Strategy<Value = Event> + use<> {
    let op = prop_oneof![
        3 => Just(Op::Create),
        1 => Just(Op::Read),
        6 => Just(Op::Update),
        2 => Just(Op::Delete),
    ];
    let key = prop::collection::vec(0..KEY_VALUES, target.keys.len());
    let old_key = prop::option::weighted(0.2, key.clone());
    let key_place =
        prop_oneof![2 => Just(KeyPlace::Row), 1 => Just(KeyPlace::MessageKey), 1 => Just(KeyPlace::Both)];
    let fields = any_fields(target.source_columns().len());
    let drawn = (op, key, old_key, fields, key_place, 0..12_usize, any::<bool>(), any::<bool>());
    drawn.prop_map(|(op, key, old_key, fields, key_place, key_spelling, is_lower_case, is_wrapped)| {
        let old_key = old_key.filter(|old| op == Op::Update && *old != key);
        Event { op, key, old_key, fields, key_place, key_spelling, is_lower_case, is_wrapped }
    })
}

/// A history. Its events need not follow from each other: an ODS sees what was there when it began.
pub(crate) fn any_history(target: &Target) -> impl Strategy<Value = Vec<Event>> + use<> {
    prop::collection::vec(any_event(target), 1..12)
}
