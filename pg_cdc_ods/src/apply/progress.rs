//! Counts what a batch did, for `cdc.stat_streams`.

use std::collections::BTreeMap;

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::Applied;
use super::prepare::Prepared;
use crate::plan_cache;
use crate::sql_error::spi_failed;

const RECORD: &str = "
    insert into cdc.stream_progress as p
           (stream, events, dead_lettered, controls, last_seq, last_received_at, last_applied_at)
    values ($1, $2, $3, $4, $5, $6, clock_timestamp())
    on conflict (stream) do update
       set events = p.events + excluded.events,
           dead_lettered = p.dead_lettered + excluded.dead_lettered,
           controls = p.controls + excluded.controls,
           last_seq = greatest(p.last_seq, excluded.last_seq),
           last_received_at = greatest(p.last_received_at, excluded.last_received_at),
           last_applied_at = excluded.last_applied_at";

#[derive(Default)]
struct Totals {
    events: i64,
    dead_lettered: i64,
    controls: i64,
    last_seq: i64,
    last_received_at: Option<pg_sys::TimestampTz>,
}

/// Adds a batch to the counters of its streams.
pub(super) fn record(client: &mut SpiClient<'_>, prepared: &Prepared<'_>, applied: &Applied) {
    let messages = &prepared.messages;
    let mut streams: BTreeMap<&str, Totals> = BTreeMap::new();
    for message in messages {
        let totals = streams.entry(message.stream).or_default();
        totals.events += 1;
        totals.last_seq = totals.last_seq.max(message.seq);
        totals.last_received_at = Some(message.received_at);
    }
    for place in &prepared.controls {
        streams.entry(messages[*place].stream).or_default().controls += 1;
    }
    for rejected in &applied.rejected {
        streams.entry(messages[rejected.message].stream).or_default().dead_lettered += 1;
    }
    for (stream, totals) in streams {
        let args = [
            stream.into(),
            totals.events.into(),
            totals.dead_lettered.into(),
            totals.controls.into(),
            totals.last_seq.into(),
            totals.last_received_at.and_then(|at| TimestampWithTimeZone::try_from(at).ok()).into(),
        ];
        if let Err(error) = plan_cache::update(client, RECORD, &args) {
            spi_failed("cannot write cdc.stream_progress", &error);
        }
    }
}
