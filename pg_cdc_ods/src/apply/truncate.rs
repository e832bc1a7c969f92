//! A truncate at the source: all rows that are older than it go, and do not come back.

use cdc_core::{OnDelete, Position};
use pgrx::spi::SpiClient;

use super::documents;
use super::guard::as_owner;
use super::statements;
use super::targets::Target;
use crate::sql_error::spi_failed;

const REMEMBER: &str = "
    update cdc.attachments set truncated_at = greatest(truncated_at, $2) where attachment_id = $1";

/// Applies the newest truncate of a batch, before its changes. Returns the rows removed or, with soft deletes, marked.
pub(super) fn apply(client: &mut SpiClient<'_>, target: &Target, position: &Position) -> i64 {
    let Ok(plan) = target.plan() else { return 0 };
    let removed = as_owner(target, || match plan.on_delete() {
        OnDelete::Delete => statements::delete_older(target, position),
        OnDelete::Soft => statements::mark_older(target, position),
        OnDelete::Ignore => 0,
    });
    if plan.on_delete() == OnDelete::Delete {
        documents::remove_all_orphans(target, plan);
    }
    let args = [target.attachment_id.into(), position.as_bytes().to_vec().into()];
    if let Err(error) = client.update(REMEMBER, None, &args) {
        spi_failed("cannot write cdc.attachments", &error);
    }
    removed
}
