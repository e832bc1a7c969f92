//! `cdc.maintain()`: what has to be done now and then, by the apply worker or by hand.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use crate::dlq::{self, Replay};
use crate::sql_error::spi_failed;
use crate::{enrich, outbox, settings, workers};

/// Rows cleared away in one step at most, so that no step takes long; the next one goes on.
const CLEAR_LIMIT: i64 = 10_000;

const CLEAR_DEAD_LETTERS: &str = "
    delete from cdc.dlq
     where id in (select id from cdc.dlq
                   where status in ('resolved', 'discarded') and settled_at < now() - $1 * interval '1 minute'
                   order by id limit $2)";

const CLEAR_TOMBSTONES: &str = "
    delete from cdc.tombstones t
     using (select attachment_id, key from cdc.tombstones
             where deleted_at < now() - $1 * interval '1 minute' limit $2) old
     where (t.attachment_id, t.key) = (old.attachment_id, old.key)";

#[pg_extern]
fn maintain() -> TableIterator<
    'static,
    (
        name!(dead_letters_retried, i64),
        name!(dead_letters_resolved, i64),
        name!(dead_letters_cleared, i64),
        name!(tombstones_cleared, i64),
    ),
> {
    let done = step();
    TableIterator::once((
        done.replay.replayed,
        done.replay.resolved,
        done.dead_letters_cleared,
        done.tombstones_cleared,
    ))
}

/// What a maintenance step did.
pub(crate) struct Done {
    replay: Replay,
    dead_letters_cleared: i64,
    tombstones_cleared: i64,
}

/// Does a maintenance step in the current transaction.
pub(crate) fn step() -> Done {
    if Spi::connect_mut(enrich::retry_failed) {
        workers::wake_at_commit();
    }
    outbox::poll();
    Done {
        replay: dlq::retry_due(),
        dead_letters_cleared: clear(CLEAR_DEAD_LETTERS, settings::DLQ_RETENTION_MIN.get()),
        tombstones_cleared: clear(CLEAR_TOMBSTONES, settings::TOMBSTONE_RETENTION_MIN.get()),
    }
}

/// Deletes rows older than `minutes`, for ever being 0; returns how many.
fn clear(sql: &str, minutes: i32) -> i64 {
    if minutes == 0 {
        return 0;
    }
    let args: [DatumWithOid<'_>; 2] = [minutes.into(), CLEAR_LIMIT.into()];
    match Spi::connect_mut(|client| client.update(sql, None, &args).map(|rows| rows.len())) {
        Ok(rows) => rows as i64,
        Err(error) => spi_failed("cannot clear away old rows", &error),
    }
}
