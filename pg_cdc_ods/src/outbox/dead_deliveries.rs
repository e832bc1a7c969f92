//! Dead deliveries that are replayed go back into the outbox.

use pgrx::spi::SpiClient;

use crate::sql_error::spi_failed;
use crate::workers;

/// Their event ids stay, so that a receiver that took one after all knows it. What has no endpoint any more stays dead.
const REQUEUE: &str = "
    with chosen as (
        select l.id, l.payload_json as body, l.delivery
          from cdc.dlq l join cdc.endpoints e on e.name = l.delivery->>'endpoint'
         where l.id = any ($1) and l.delivery is not null and l.status <> 'resolved' for update of l
    ), queued as (
        insert into cdc.outbox (endpoint, key, event_id, kind, rule, body, bytes)
        select delivery->>'endpoint', delivery->>'key', (delivery->>'event_id')::uuid, delivery->>'kind',
               delivery->>'rule', body, octet_length(body::text)
          from chosen order by id
    )
    update cdc.dlq l
       set status = 'resolved', retry_at = null, settled_at = clock_timestamp(), retry_count = l.retry_count + 1
      from chosen c where l.id = c.id";

const COUNT: &str = "
    select count(*) from cdc.dlq where id = any ($1) and delivery is not null and status <> 'resolved'";

/// Puts the dead deliveries among these letters into the outbox again: how many there are, and how many could be.
pub(crate) fn requeue(client: &mut SpiClient<'_>, ids: &[i64]) -> (i64, i64) {
    let counted =
        client.update(COUNT, Some(1), &[ids.to_vec().into()]).and_then(|row| row.first().get_one::<i64>());
    let dead = counted.unwrap_or_else(|error| spi_failed("cannot read cdc.dlq", &error)).unwrap_or_default();
    if dead == 0 {
        return (0, 0);
    }
    let requeued = match client.update(REQUEUE, None, &[ids.to_vec().into()]) {
        Ok(rows) => rows.len() as i64,
        Err(error) => spi_failed("cannot put dead deliveries into cdc.outbox", &error),
    };
    workers::wake_push_worker_at_commit();
    (dead, requeued)
}
