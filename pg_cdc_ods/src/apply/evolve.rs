//! Lets targets follow their sources: creates a target from its first events, adds and widens columns.
//!
//! Each statement runs with the rights of the attachment's owner, and waits for a lock only for a moment: readers of the
//! table are not held up behind it. One that fails leaves the events as they are: what has no column goes to
//! `extra_fields`, and an event without a target is a dead letter that is tried again.

use std::collections::BTreeMap;

use cdc_core::{ColumnType, Event, OnUnknown, Sketch};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use super::guard::as_user;
use super::targets::{BOOKKEEPING, Target, Targets};
use crate::sql_error::spi_failed;
use crate::subtransaction;

/// How long a change of a table waits for those who use it.
const LOCK_TIMEOUT: &str = "2s";
/// The longest name that PostgreSQL keeps, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Creates the targets and adds the columns that events need. Says whether any table has changed.
pub(super) fn add_what_is_missing(targets: &Targets, events: &[(usize, Event<'_>)]) -> bool {
    let mut sketches: BTreeMap<usize, Sketch> = BTreeMap::new();
    for (_, event) in events {
        let Some(index) = targets.find(&event.source) else { continue };
        let target = &targets[index];
        if may_grow(target) {
            let is_wanted = |name: &str| is_wanted(target, name) && has_column_name(target, name);
            sketches.entry(index).or_default().add(event, is_wanted);
        }
    }
    let mut has_changed = false;
    for (index, sketch) in sketches {
        let target = &targets[index];
        has_changed |= match target.to_create() {
            Some(key) => create(target, key, &sketch),
            None => add_columns(target, &sketch),
        };
    }
    has_changed
}

/// Whether columns may be added to a target, or the target itself is to be created.
fn may_grow(target: &Target) -> bool {
    target.to_create().is_some() || target.plan().is_ok_and(|plan| plan.on_unknown() == OnUnknown::Alter)
}

/// Whether a column of an event has to be added to a target that may grow.
fn is_wanted(target: &Target, name: &str) -> bool {
    target.plan().is_ok_and(|plan| !plan.expects(name)) || target.to_create().is_some()
}

/// Whether a source column may have a column of the same name in the target.
fn has_column_name(target: &Target, name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_document =
        target.extractions().iter().any(|extraction| extraction.xml_column.eq_ignore_ascii_case(name));
    !is_document
        && (1..=NAME_BYTES_MAX).contains(&lower.len())
        && !lower.contains('\0')
        && BOOKKEEPING.iter().all(|(own, _)| *own != lower)
}

/// Creates a target with its key: the one that was given, else the key of the messages.
fn create(target: &Target, key: &[String], sketch: &Sketch) -> bool {
    let columns: Vec<(String, &ColumnType)> =
        sketch.columns().iter().map(|column| (column.name.to_lowercase(), &column.column_type)).collect();
    let key: Vec<String> = if key.is_empty() {
        sketch
            .columns()
            .iter()
            .filter(|column| column.is_key)
            .map(|column| column.name.to_lowercase())
            .collect()
    } else {
        key.to_vec()
    };
    if key.is_empty() || !key.iter().all(|name| columns.iter().any(|(column, _)| column == name)) {
        return false;
    }
    let own = BOOKKEEPING.iter().map(|(name, type_name)| format!("{name} {type_name}"));
    let definitions: Vec<String> = columns.iter().map(definition).chain(own).collect();
    let key_columns: Vec<_> = key.iter().map(quote_identifier).collect();
    let sql = format!(
        "create table {} ({}, primary key ({}))",
        target.name,
        definitions.join(", "),
        key_columns.join(", ")
    );
    if !run(target, &sql) {
        return false;
    }
    let remember = "update cdc.attachments set key = $2, creates_target = false where attachment_id = $1";
    if let Err(error) = Spi::run_with_args(remember, &[target.attachment_id.into(), key.into()]) {
        spi_failed("cannot write cdc.attachments", &error);
    }
    true
}

fn add_columns(target: &Target, sketch: &Sketch) -> bool {
    let additions: Vec<String> = sketch
        .columns()
        .iter()
        .map(|column| {
            let name = column.name.to_lowercase();
            format!("add column if not exists {}", definition(&(name, &column.column_type)))
        })
        .collect();
    !additions.is_empty() && run(target, &format!("alter table {} {}", target.name, additions.join(", ")))
}

fn definition((name, column_type): &(String, &ColumnType)) -> String {
    format!("{} {}", quote_identifier(name), column_type.sql_name())
}

/// Widens the columns that cannot hold what events send. Says whether any table has changed.
pub(super) fn widen_columns<'e, 'a: 'e>(
    targets: &Targets,
    misfits: impl Iterator<Item = (usize, &'e Event<'a>)>,
) -> bool {
    let mut types: BTreeMap<(usize, String), ColumnType> = BTreeMap::new();
    for (index, event) in misfits {
        let Ok(plan) = targets[index].plan() else { continue };
        if plan.on_unknown() == OnUnknown::Alter {
            types.extend(
                plan.widenings(event).into_iter().map(|(name, wider)| ((index, name.to_owned()), wider)),
            );
        }
    }
    types.into_iter().fold(false, |has_changed, ((index, name), column_type)| {
        let target = &targets[index];
        let (name, type_name) = (quote_identifier(&name), column_type.sql_name());
        run(target, &format!("alter table {} alter column {name} type {type_name}", target.name))
            || has_changed
    })
}

/// Runs a statement that changes a target; says whether it succeeded. A failure is a WARNING in the server's log.
fn run(target: &Target, sql: &str) -> bool {
    let work = std::panic::AssertUnwindSafe(|| {
        as_user(target.owner, || {
            let timeout = format!("set local lock_timeout = '{LOCK_TIMEOUT}'");
            Spi::run(&timeout)
                .and_then(|()| Spi::run(sql))
                .and_then(|()| Spi::run("set local lock_timeout = 0"))
        })
    });
    match subtransaction::run(move || { work }()) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            warning!("cannot change the target {}: {error}", target.name);
            false
        }
        Err(failure) => {
            warning!("cannot change the target {}: {} ({sql})", target.name, failure.message);
            false
        }
    }
}
