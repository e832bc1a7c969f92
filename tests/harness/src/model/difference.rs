//! Says in words how a table differs from what it must hold.

use std::collections::BTreeSet;

use super::{Children, Row, Rows};

/// Differences listed one by one; a broken run has thousands, and the first ones tell enough.
const MAX_LISTED: usize = 20;

/// Characters shown of a value.
const MAX_SHOWN_CHARACTERS: usize = 80;

/// The differences between two states of a table, in the order of the keys; none if they are the same.
///
/// At most 20 are listed; one more line counts the rest.
pub fn diff(expected: &Rows, actual: &Rows) -> Vec<String> {
    let keys: BTreeSet<i64> = expected.keys().chain(actual.keys()).copied().collect();
    listed(keys.into_iter().flat_map(|key| of_key(key, expected.get(&key), actual.get(&key))))
}

/// The differences between two states of a child table, listed as [`diff`] lists them.
pub fn diff_children(expected: &Children, actual: &Children) -> Vec<String> {
    let missing = expected.difference(actual).map(|line| format!("missing: {line}"));
    let surplus = actual.difference(expected).map(|line| format!("should not be there: {line}"));
    listed(missing.chain(surplus))
}

fn listed(differences: impl Iterator<Item = String>) -> Vec<String> {
    let mut listed = Vec::new();
    let mut unlisted = 0;
    for difference in differences {
        if listed.len() < MAX_LISTED {
            listed.push(difference);
        } else {
            unlisted += 1;
        }
    }
    if unlisted > 0 {
        listed.push(format!("and {unlisted} more differences"));
    }
    listed
}

fn of_key(key: i64, expected: Option<&Row>, actual: Option<&Row>) -> Vec<String> {
    match (expected, actual) {
        (Some(expected), Some(actual)) => of_rows(expected, actual)
            .into_iter()
            .map(|difference| format!("key {key}: {difference}"))
            .collect(),
        (Some(expected), None) => vec![format!("key {key}: missing, last op {}", expected.source_op)],
        (None, Some(actual)) => vec![format!("key {key}: should not be there, last op {}", actual.source_op)],
        (None, None) => Vec::new(),
    }
}

fn of_rows(expected: &Row, actual: &Row) -> Vec<String> {
    let columns: BTreeSet<&String> = expected.columns.keys().chain(actual.columns.keys()).collect();
    let values = columns.into_iter().map(|column| {
        let value = |row: &Row| match row.columns.get(column) {
            Some(Some(text)) => format!("{text:?}"),
            Some(None) => "null".to_owned(),
            None => "no such column".to_owned(),
        };
        (column.as_str(), value(expected), value(actual))
    });
    let extra_fields = ("extra_fields", expected.extra_fields.to_string(), actual.extra_fields.to_string());
    let source_op = ("source_op", expected.source_op.clone(), actual.source_op.clone());
    values
        .chain([extra_fields, source_op])
        .filter(|(_, expected, actual)| expected != actual)
        .map(|(what, expected, actual)| {
            format!("{what}: expected {}, found {}", shortened(&expected), shortened(&actual))
        })
        .collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
