//! Claiming rows of the outbox by a lease, and giving them back.
//!
//! There is one push worker for a database, which its slot in shared memory sees to. So the leases that it finds when it
//! starts are those of one that has ended, and are void.

use std::time::Duration;

use bytes::Bytes;
use cdc_push::Delivery;
use pgrx::prelude::*;

use crate::apply::parameter;
use crate::sql_error::spi_failed;

/// What may be claimed for an endpoint.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) endpoint: String,
    pub(super) rows: usize,
    /// Bytes of documents from which no further row is claimed.
    pub(super) bytes: usize,
}

/// A row that was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: i64,
    pub(super) delivery: Delivery,
}

/// A row waits behind an earlier one of its key that is due later, so that it does not overtake it.
const CLAIM: &str = "
    with claimed as (
        select due.id
          from unnest($1::text[], $2::bigint[], $3::bigint[]) as r(endpoint, most_rows, most_bytes)
         cross join lateral (
            select o.id, sum(o.bytes) over (order by o.id) - o.bytes as bytes_before
              from (select o.id, o.bytes
                      from cdc.outbox o
                     where o.endpoint = r.endpoint and o.due_at <= now()
                       and (o.leased_until is null or o.leased_until < now())
                       and (o.key is null or not exists (
                            select from cdc.outbox e
                             where e.endpoint = o.endpoint and e.key = o.key and e.id < o.id and e.due_at > now()))
                     order by o.id limit r.most_rows) o) due
         where due.bytes_before < r.most_bytes)
    update cdc.outbox o set leased_until = now() + $4 * interval '1 second'
      from claimed c where o.id = c.id
    returning o.id, o.endpoint, o.key, o.event_id::text, o.body::text, o.attempts";

/// Claims what is due, at most as much as is asked for; in the order of the outbox.
pub(super) fn claim(requests: &[Request], lease: Duration) -> Vec<Claimed> {
    if requests.is_empty() {
        return Vec::new();
    }
    let numbers = |read: &dyn Fn(&Request) -> usize| {
        let numbers = requests.iter().map(|request| i64::try_from(read(request)).ok());
        parameter("bigint", numbers.collect()).datum
    };
    let args = [
        parameter("text", requests.iter().map(|request| Some(request.endpoint.clone())).collect()).datum,
        numbers(&|request| request.rows),
        numbers(&|request| request.bytes),
        lease.as_secs_f64().into(),
    ];
    let claimed = Spi::connect_mut(|client| {
        let rows = client.update(CLAIM, None, &args)?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
            let id = row.get::<i64>(1)?.unwrap_or_default();
            let Ok(event_id) = text(4)?.parse() else { continue };
            let attempts = row.get::<i32>(6)?.unwrap_or_default();
            claimed.push(Claimed {
                id,
                delivery: Delivery {
                    id,
                    endpoint: text(2)?,
                    key: row.get(3)?,
                    event_id,
                    body: Bytes::from(text(5)?),
                    attempt: attempts.unsigned_abs() + 1,
                    headers: Vec::new(),
                },
            });
        }
        Ok(claimed)
    });
    let mut claimed = claimed.unwrap_or_else(|error| spi_failed("cannot claim rows of cdc.outbox", &error));
    claimed.sort_unstable_by_key(|row| row.id);
    claimed
}

/// Whether an endpoint got as much as was asked for, so that more may wait.
pub(super) fn are_filled(requests: &[Request], claimed: &[Claimed]) -> bool {
    requests.iter().any(|request| {
        let of_endpoint = || claimed.iter().filter(|row| row.delivery.endpoint == request.endpoint);
        let bytes: usize = of_endpoint().map(|row| row.delivery.body.len()).sum();
        of_endpoint().count() >= request.rows || bytes >= request.bytes
    })
}

/// Gives rows back that were claimed and not sent.
pub(super) fn release(ids: &[i64]) {
    if !ids.is_empty() {
        run("update cdc.outbox set leased_until = null where id = any ($1)", &[ids.to_vec().into()]);
    }
}

/// Gives back whatever is leased.
pub(super) fn release_all() {
    run("update cdc.outbox set leased_until = null where leased_until is not null", &[]);
}

fn run(sql: &str, args: &[pgrx::datum::DatumWithOid<'_>]) {
    if let Err(error) = Spi::run_with_args(sql, args) {
        spi_failed("cannot release rows of cdc.outbox", &error);
    }
}
