//! A truncate at the source: all rows that are older than it go, and do not come back.
//!
//! With soft deletes they stay, marked with the operation `t`, and so does an older change that comes late. Where deletes
//! are ignored, truncates are.

use cdc_core::{ChangeKind, OnDelete, Operation, Plan, Position, RowChange};
use pgrx::spi::SpiClient;

use super::documents;
use super::guard::as_owner;
use super::round::{self, Round, RoundOutcome};
use super::row_memory;
use super::statements;
use super::targets::Target;
use crate::sql_error::spi_failed;

/// Rows that are looked at together: enough for few statements, little enough for the memory of a backend.
const ROWS_AT_ONCE: i64 = 5000;

/// A truncate of a batch.
pub(super) struct Truncate {
    pub(super) position: Position,
    /// The place of its message in the batch.
    pub(super) message: usize,
}

const REMEMBER: &str = "
    update cdc.attachments set truncated_at = greatest(truncated_at, $2) where attachment_id = $1";

/// Applies the newest truncate of a batch, before its changes.
pub(super) fn apply(client: &mut SpiClient<'_>, target: &mut Target, truncate: &Truncate) -> RoundOutcome {
    let position = &truncate.position;
    let mut outcome = RoundOutcome::default();
    let is_known = target.truncated_at.as_ref().is_some_and(|known| known >= position);
    let Ok(plan) = target.plan() else { return outcome };
    match plan.on_delete() {
        OnDelete::Ignore => return outcome,
        _ if is_known => return outcome,
        OnDelete::Soft => {
            outcome.upserted = as_owner(target, || statements::mark_truncated(target, position));
        }
        OnDelete::Delete => {
            outcome.deleted = as_owner(target, || statements::delete_older(target, position));
            documents::remove_all_orphans(target, plan);
            clear_older_columns(client, target, plan, truncate, &mut outcome);
        }
    }
    let args = [target.attachment_id.into(), position.as_bytes().to_vec().into()];
    if let Err(error) = client.update(REMEMBER, None, &args) {
        spi_failed("cannot write cdc.attachments", &error);
    }
    target.truncated_at = Some(position.clone());
    outcome
}

/// To a row that is newer, but has columns that are older, a truncate is a delete that comes late.
fn clear_older_columns(
    client: &mut SpiClient<'_>,
    target: &Target,
    plan: &Plan,
    truncate: &Truncate,
    outcome: &mut RoundOutcome,
) {
    let mut last = Vec::new();
    loop {
        let keys = row_memory::keys_with_columns(client, target, &last, ROWS_AT_ONCE);
        let Some(newest) = keys.last() else { return };
        last.clone_from(newest);
        let delete = |key_bytes: Vec<u8>| {
            Some(RowChange {
                key: plan.key_from_bytes(&key_bytes)?,
                key_bytes,
                position: truncate.position.clone(),
                op: Operation::Truncate,
                source_ts: None,
                first_ts: None,
                message: truncate.message,
                kind: ChangeKind::Delete,
            })
        };
        let deletes = keys.into_iter().filter_map(delete).collect();
        outcome.add(round::apply_round(client, target, Round::of_deletes(deletes)));
        pgrx::check_for_interrupts!();
    }
}
