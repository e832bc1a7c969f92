//! What a history means: its events one after the other, each by a few plain rules.
//!
//! - A create or a row of a snapshot tells the whole row: what it leaves out is null.
//! - What an update leaves out stays; so does what was not available, in any event.
//! - An update that changes the key removes the row of the old one.
//! - A delete removes the row, does nothing, or (soft) is an update with what it says of the row.
//! - An event that leaves out nothing replaces `extra_fields`; any other adds to them.

use cdc_core::{OnDelete, OnUnknown};

use crate::history::{Event, Field, Op};
use crate::target::{COMPARED, Role, SourceColumn, Target};
use crate::{Row, Rows};

/// What is to be stored in a column.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    /// Nothing was sent.
    Nothing,
    /// That it has not changed.
    Unchanged,
    Text(Option<String>),
}

/// The table after a history.
pub(crate) fn after(target: &Target, history: &[Event]) -> Rows {
    let mut rows = Rows::new();
    for event in history {
        apply(target, event, &mut rows);
    }
    rows
}

fn apply(target: &Target, event: &Event, rows: &mut Rows) {
    let columns = target.source_columns();
    let fields: Vec<(&SourceColumn, Field)> = columns.iter().zip(event.fields.iter().copied()).collect();
    if event.op == Op::Delete && target.on_delete != OnDelete::Soft {
        if target.on_delete == OnDelete::Delete {
            rows.remove(&event.key);
        }
        return;
    }
    if target.on_unknown == OnUnknown::Reject && extras(&fields).any(|(_, field)| field != Field::Absent) {
        return;
    }
    if let Some(old_key) = &event.old_key {
        rows.remove(old_key);
    }
    let tells = cells(target, &fields);
    let empty = Row { cells: vec![None; tells.len()], extra_fields: Default::default(), source_op: "" };
    let row = rows.entry(event.key.clone()).or_insert(empty);
    row.source_op = event.op.letter();
    let may_leave_out = matches!(event.op, Op::Update | Op::Delete);
    let mut is_whole = extras(&fields).all(|(_, field)| field != Field::Unavailable);
    for (cell, told) in row.cells.iter_mut().zip(tells) {
        match told {
            Told::Text(text) => *cell = text,
            Told::Nothing if !may_leave_out => *cell = None,
            Told::Nothing | Told::Unchanged => is_whole = false,
        }
    }
    if is_whole {
        row.extra_fields.clear();
    }
    for (column, field) in extras(&fields) {
        let json = match field {
            Field::Absent | Field::Unavailable => continue,
            Field::Null => "null",
            Field::Value { sample, spelling } => column.kind.sample(sample).spelling(spelling),
        };
        row.extra_fields.insert(column.name.clone(), json.to_owned());
    }
}

fn extras<'f>(
    fields: &'f [(&'f SourceColumn, Field)],
) -> impl Iterator<Item = (&'f SourceColumn, Field)> + use<'f> {
    fields.iter().copied().filter(|(column, _)| column.overflows())
}

/// What an event tells of the columns behind the key, and of the documents.
fn cells(target: &Target, fields: &[(&SourceColumn, Field)]) -> Vec<Told> {
    let own = fields.iter().filter(|(column, _)| column.role == Role::Cell);
    let mut tells: Vec<Told> = own.map(|(column, field)| told(column, *field)).collect();
    if target.has_rules {
        let of = |wanted: &str| {
            let found = fields.iter().find(|(column, _)| column.name == wanted);
            found.map_or(Told::Nothing, |(column, field)| told(column, *field))
        };
        let name = match of("NEW_NAME") {
            Told::Nothing => of("OLD_NAME"),
            newer => newer,
        };
        let rules = [joined(of("FIRST"), of("LAST")), is_set(of(COMPARED)), name];
        let documents = tells.split_off(target.values.len());
        tells.extend(rules.into_iter().chain(documents));
    }
    tells
}

fn told(column: &SourceColumn, field: Field) -> Told {
    match field {
        Field::Absent => Told::Nothing,
        Field::Unavailable => Told::Unchanged,
        Field::Null => Told::Text(None),
        Field::Value { sample, .. } => Told::Text(Some(column.kind.sample(sample).text.to_owned())),
    }
}

/// Two texts with a space between them; nothing is known of it if one of them is not known.
fn joined(first: Told, last: Told) -> Told {
    match (first, last) {
        (Told::Unchanged, _) | (_, Told::Unchanged) => Told::Unchanged,
        (Told::Nothing, other) | (other, Told::Nothing) => other,
        (Told::Text(first), Told::Text(last)) => {
            let texts: Vec<String> = [first, last].into_iter().flatten().collect();
            Told::Text((!texts.is_empty()).then(|| texts.join(" ")))
        }
    }
}

fn is_set(flag: Told) -> Told {
    match flag {
        Told::Text(text) => Told::Text(text.map(|text| (text == "Y").to_string())),
        other => other,
    }
}
