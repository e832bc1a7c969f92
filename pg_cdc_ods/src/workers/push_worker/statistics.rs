//! What `cdc.stat_endpoints` shows of the engine, written by the push worker alone.

use cdc_push::EndpointStatus;
use pgrx::prelude::*;

use super::outcomes::{Tallies, Tally};
use crate::apply::{parameter, printable};
use crate::sql_error::spi_failed;

/// The states of the endpoints as they were last written.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    written: Vec<EndpointStatus>,
}

impl Statistics {
    /// The endpoints of which something is to be written: their breakers have changed, or deliveries were counted.
    pub(super) fn news<'s>(
        &self,
        statuses: &'s [EndpointStatus],
        tallies: &Tallies,
    ) -> Vec<&'s EndpointStatus> {
        let is_written = |status: &EndpointStatus| {
            let shown = (&status.name, status.breaker, status.failures_in_a_row);
            self.written
                .iter()
                .any(|before| (&before.name, before.breaker, before.failures_in_a_row) == shown)
        };
        statuses.iter().filter(|status| !is_written(status) || tallies.contains_key(&status.name)).collect()
    }

    pub(super) fn written(&mut self, statuses: Vec<EndpointStatus>) {
        self.written = statuses;
    }
}

const WRITE: &str = "
    insert into cdc.endpoint_counters as c (endpoint, breaker, failures_in_a_row, refuses_until, delivered, retried, dead,
                                            last_status, last_error, last_error_at, last_delivered_at)
    select s.endpoint, s.breaker, s.failures, now() + s.refused * interval '1 second', s.delivered, s.retried, s.dead,
           s.status, s.error, case when s.error is not null then now() end, case when s.delivered > 0 then now() end
      from unnest($1::text[], $2::text[], $3::bigint[], $4::double precision[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::integer[], $9::text[])
           as s(endpoint, breaker, failures, refused, delivered, retried, dead, status, error)
      join cdc.endpoints e on e.name = s.endpoint
     order by s.endpoint
    on conflict (endpoint) do update
       set breaker = excluded.breaker, failures_in_a_row = excluded.failures_in_a_row,
           refuses_until = excluded.refuses_until, delivered = c.delivered + excluded.delivered,
           retried = c.retried + excluded.retried, dead = c.dead + excluded.dead,
           last_status = coalesce(excluded.last_status, c.last_status),
           last_error = coalesce(excluded.last_error, c.last_error),
           last_error_at = coalesce(excluded.last_error_at, c.last_error_at),
           last_delivered_at = coalesce(excluded.last_delivered_at, c.last_delivered_at)";

/// Adds the tallies to the counters, and writes the states of the breakers.
pub(super) fn write(statuses: &[&EndpointStatus], tallies: &Tallies) {
    let now = std::time::Instant::now();
    let nothing = Tally::default();
    let rows: Vec<(&EndpointStatus, &Tally)> =
        statuses.iter().map(|status| (*status, tallies.get(&status.name).unwrap_or(&nothing))).collect();
    if rows.is_empty() {
        return;
    }
    let refused = |status: &EndpointStatus| {
        let until = status.refuses_until.filter(|until| *until > now)?;
        Some((until - now).as_secs_f64())
    };
    let counts = |read: fn(&Tally) -> i64| {
        parameter("bigint", rows.iter().map(|(_, tally)| Some(read(tally))).collect()).datum
    };
    let args = [
        parameter("text", rows.iter().map(|(status, _)| Some(status.name.clone())).collect()).datum,
        parameter("text", rows.iter().map(|(status, _)| Some(status.breaker.as_str())).collect()).datum,
        parameter(
            "bigint",
            rows.iter().map(|(status, _)| Some(i64::from(status.failures_in_a_row))).collect(),
        )
        .datum,
        parameter("double precision", rows.iter().map(|(status, _)| refused(status)).collect()).datum,
        counts(|tally| tally.delivered),
        counts(|tally| tally.retried),
        counts(|tally| tally.dead),
        parameter("integer", rows.iter().map(|(_, tally)| tally.last_status).collect()).datum,
        parameter("text", rows.iter().map(|(_, tally)| tally.last_error.as_deref().map(printable)).collect())
            .datum,
    ];
    if let Err(error) = Spi::run_with_args(WRITE, &args) {
        spi_failed("cannot write cdc.endpoint_counters", &error);
    }
}

const COUNT_DISCARDED: &str = "
    with noted as (delete from cdc.outbox_overflow returning endpoint, discarded)
    update cdc.endpoint_counters c set discarded = c.discarded + n.discarded
      from (select endpoint, sum(discarded) as discarded from noted group by endpoint) n where n.endpoint = c.endpoint";

/// Adds to the counters what writers of the outbox had to discard.
pub(super) fn count_discarded() {
    if let Err(error) = Spi::run(COUNT_DISCARDED) {
        spi_failed("cannot write cdc.endpoint_counters", &error);
    }
}
