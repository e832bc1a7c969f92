//! What one message would do, told in rows.

use std::collections::HashMap;

use cdc_core::{Cell, ChangeKind, Control, Decoded, Decoder, Event, Field, Plan, Reject, Row, RowChange};
use pgrx::spi::SpiClient;

use super::documents;
use super::row_memory;
use super::targets::{Target, Targets};
use crate::messages::Message;
use crate::settings;

/// One row of an explanation.
pub(crate) struct Explanation {
    /// `event`, `key`, `column`, `document`, `outcome` or `error`.
    pub(crate) part: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) goes_to: Option<String>,
}

/// The rows so far.
#[derive(Default)]
struct Explanations(Vec<Explanation>);

impl Explanations {
    fn push(&mut self, part: &'static str, name: &str, value: Option<String>, goes_to: Option<String>) {
        self.0.push(Explanation { part, name: Some(name.to_owned()), value, goes_to });
    }

    fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.push("event", name, Some(value.into()), None);
    }

    fn outcome(&mut self, text: impl Into<String>) {
        self.0.push(Explanation { part: "outcome", name: None, value: Some(text.into()), goes_to: None });
    }

    fn error(&mut self, reject: &Reject) {
        let place = (!reject.path.is_empty()).then(|| reject.path.clone());
        let text = format!("{}: {}", reject.error_type, reject.message);
        self.0.push(Explanation {
            part: "error",
            name: place,
            value: Some(text),
            goes_to: Some("cdc.dlq".to_owned()),
        });
    }
}

/// Tells what a message would do.
pub(crate) fn explain(client: &mut SpiClient<'_>, message: &Message<'_>) -> Vec<Explanation> {
    let mut explanations = Explanations::default();
    match Decoder::new(settings::decoding()).decode(&message.to_decode()) {
        Ok(Decoded::Change(event)) => explain_event(client, &event, &mut explanations),
        Ok(Decoded::Control(control)) => explain_control(control, &mut explanations),
        Err(reject) => explanations.error(&reject),
    }
    explanations.0
}

fn explain_control(control: Control, explanations: &mut Explanations) {
    explanations.fact("kind", control.as_str());
    explanations.outcome("nothing: a message of this kind changes no row");
}

fn explain_event(client: &mut SpiClient<'_>, event: &Event<'_>, explanations: &mut Explanations) {
    explanations.fact("source", event.source.to_string());
    explanations.fact("operation", event.op.as_str());
    explanations.fact("position", hexadecimal(event.position.as_bytes()));
    let targets = Targets::load(client);
    let Some(index) = targets.find(&event.source) else {
        explanations.outcome(
            "a dead letter of type UNKNOWN_SOURCE, unless pg_cdc_ods.auto_attach lets it attach itself",
        );
        return;
    };
    let target = &targets[index];
    explanations.push("event", "target", None, Some(target.name.clone()));
    let planned = target.plan().and_then(|plan| plan.changes(event, 0).map(|changes| (plan, changes)));
    match planned {
        Ok((plan, changes)) => {
            for change in &changes {
                explain_change(client, target, plan, event, change, explanations);
            }
            if changes.is_empty() {
                explanations.outcome("no change of a single row");
            }
        }
        Err(_) if target.to_create().is_some() => {
            explanations.outcome(format!("the target {} is created from it", target.name));
        }
        Err(reject) => explanations.error(&reject),
    }
}

fn explain_change(
    client: &mut SpiClient<'_>,
    target: &Target,
    plan: &Plan,
    event: &Event<'_>,
    change: &RowChange<'_>,
    explanations: &mut Explanations,
) {
    for (index, value) in plan.key().iter().zip(&change.key) {
        let name = &plan.columns()[*index].name;
        explanations.push("key", name, value.text().map(Into::into), Some(format!("{}.{name}", target.name)));
    }
    if let ChangeKind::Upsert { cells, overflow, .. } = &change.kind {
        let sent: HashMap<&str, Field<'_>> = event.after.iter().flat_map(Row::fields).collect();
        for (column, cell) in plan.columns().iter().zip(&cells[..plan.documents().start]) {
            let value = match cell {
                Cell::Set(value) => value.text().map(Into::into),
                Cell::Keep => Some("(not sent: stays)".to_owned()),
            };
            let type_name = column.column_type.sql_name();
            explanations.push(
                "column",
                &column.name,
                value,
                Some(format!("{}.{} {type_name}", target.name, column.name)),
            );
        }
        for (name, json) in overflow {
            let json = sent.get(name.as_ref()).map_or(json.as_ref(), |field| field.raw);
            explanations.push(
                "column",
                name,
                Some(json.to_owned()),
                Some(format!("{}.extra_fields", target.name)),
            );
        }
        documents::explain(target, plan, cells, |name, outcome, tables| match outcome {
            Ok(rows) => explanations.push("document", name, Some(rows), Some(tables)),
            Err(reject) => explanations.error(&reject),
        });
    }
    explanations.outcome(outcome(client, target, plan, change));
}

/// What becomes of the row.
fn outcome(client: &mut SpiClient<'_>, target: &Target, plan: &Plan, change: &RowChange<'_>) -> String {
    let memory = row_memory::recall(client, target, plan, std::slice::from_ref(change));
    let memory = memory.get(&change.key_bytes);
    let deleted = memory.and_then(|memory| memory.deleted.as_ref());
    if deleted.max(target.truncated_at.as_ref()).is_some_and(|gone| change.position <= *gone) {
        return "nothing: a newer event has deleted the row".to_owned();
    }
    let text = match (memory.and_then(|memory| memory.row.as_ref()), &change.kind) {
        (None, ChangeKind::Delete) => {
            "nothing but that the key is remembered as deleted: there is no such row"
        }
        (None, ChangeKind::Upsert { .. }) => "a row is inserted",
        (Some(stored), ChangeKind::Delete) if change.position > *stored => "the row is deleted",
        (Some(stored), ChangeKind::Upsert { .. }) if change.position > *stored => "the row is updated",
        _ if memory.is_some_and(|memory| memory.columns.is_some()) => {
            "the row is newer; only columns are filled that newer events did not send"
        }
        _ => "nothing: the row is as new, or newer",
    };
    text.to_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |text, byte| text + &format!("{byte:02x}"))
}
