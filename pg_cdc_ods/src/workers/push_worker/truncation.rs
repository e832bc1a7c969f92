//! Giving back the space of the outbox.
//!
//! Its rows are deleted one by one, not with a partition as those of the inbox: what waits for an endpoint that is down
//! stands beside what is delivered at once, so a partition would seldom be empty. But the whole outbox often is, and then
//! dead rows and index entries go by truncation, whatever old snapshots keep vacuum from removing.

use pgrx::prelude::*;

use crate::sql_error::spi_failed;

/// Smaller than this it is left to vacuum.
const LEAST_BYTES: i64 = 8 << 20;

/// Truncates the outbox if it has grown and is empty. Nobody is waited for.
pub(super) fn truncate_if_empty() {
    if get::<i64>("select pg_total_relation_size('cdc.outbox')").unwrap_or_default() < LEAST_BYTES {
        return;
    }
    let Some(outbox) = get::<pg_sys::Oid>("select 'cdc.outbox'::regclass::oid") else { return };
    // SAFETY: takes a lock that the transaction's end releases; does not wait.
    let locked =
        unsafe { pg_sys::ConditionalLockRelationOid(outbox, pg_sys::AccessExclusiveLock.cast_signed()) };
    // With the lock held nobody can have written what this transaction does not see.
    if locked && get::<bool>("select exists (select from cdc.outbox)") == Some(false) {
        Spi::run("truncate cdc.outbox")
            .unwrap_or_else(|error| spi_failed("cannot truncate cdc.outbox", &error));
    }
}

fn get<T: FromDatum + IntoDatum>(sql: &str) -> Option<T> {
    Spi::get_one(sql).unwrap_or_else(|error| spi_failed("cannot look at cdc.outbox", &error))
}
