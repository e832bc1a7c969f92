//! What is dirty and has to wait: keys in `cdc.enrich_queue`, changes that concern very many in `cdc.enrich_backlog`.
//!
//! It is worked off in steps, and a step in passes: between two of them it may end, because events wait.

use std::time::{Duration, Instant};

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::Catalog;
use super::{backlog, refresh};
use crate::apply::parameter;
use crate::inbox;
use crate::settings;
use crate::sql_error::spi_failed;

/// A key that fails again is not kept twice.
const PUT_KEYS: &str = "
    with failed_before as (
        delete from cdc.enrich_queue
         where $3 is not null and enrichment_id = $1 and key = any ($2::text[]) and error is not null
    )
    insert into cdc.enrich_queue (enrichment_id, key, error) select $1, unnest($2::text[]), $3";

/// Puts keys into the queue; with an error they stay there until `cdc.maintain()`.
pub(super) fn put_keys(
    client: &mut SpiClient<'_>,
    enrichment_id: i32,
    keys: Vec<String>,
    error: Option<&str>,
) {
    if keys.is_empty() {
        return;
    }
    let args =
        [enrichment_id.into(), parameter("text", keys.into_iter().map(Some).collect()).datum, error.into()];
    if let Err(error) = client.update(PUT_KEYS, None, &args) {
        spi_failed("cannot write cdc.enrich_queue", &error);
    }
}

const PUT_CHANGE: &str =
    "insert into cdc.enrich_backlog (enrichment_id, dependency, changed) values ($1, $2, $3)";

/// Puts changed rows of a dependency into the backlog, or all rows of the enriched table.
pub(super) fn put_change(client: &mut SpiClient<'_>, enrichment_id: i32, change: Option<(usize, JsonB)>) {
    let (dependency, changed) = match change {
        Some((dependency, changed)) => (i16::try_from(dependency).ok(), Some(changed)),
        None => (None, None),
    };
    if let Err(error) =
        client.update(PUT_CHANGE, None, &[enrichment_id.into(), dependency.into(), changed.into()])
    {
        spi_failed("cannot write cdc.enrich_backlog", &error);
    }
}

/// Whether something waits that can be done; takes no lock.
pub(super) fn has_work() -> bool {
    Spi::get_one::<bool>(
        "select exists (select from cdc.enrich_queue where error is null)
             or exists (select from cdc.enrich_backlog where error is null)",
    )
    .unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_queue", &error))
    .unwrap_or(false)
}

/// Keys of a pass: their rows are made anew in some milliseconds.
pub(super) const PASS_KEYS: i32 = 1000;

/// When a step ends before all of its keys are done.
#[derive(Debug, Clone, Copy)]
pub(super) enum StepEnd {
    /// Never: nobody waits for it.
    WithItsKeys,
    /// When events wait and it has taken as long as this.
    WhenEventsWait { after: Duration },
}

/// A step under way.
pub(super) struct Step {
    end: StepEnd,
    started: Instant,
    keys_left: i32,
    events_wait: bool,
    /// The last entry of the queue that it has taken: an index is slow to pass those that this transaction has deleted.
    last_taken: i64,
}

impl Step {
    fn begin(end: StepEnd) -> Self {
        let keys_left = settings::ENRICH_STEP.get();
        Self { end, started: Instant::now(), keys_left, events_wait: false, last_taken: 0 }
    }

    /// Keys of the next pass at most; none if the step is over.
    pub(super) fn keys_of_pass(&self) -> i32 {
        if self.events_wait { 0 } else { self.keys_left.clamp(0, PASS_KEYS) }
    }

    /// Counts a pass, and looks whether events wait.
    pub(super) fn end_pass(&mut self, client: &mut SpiClient<'_>) {
        self.keys_left -= PASS_KEYS;
        if let StepEnd::WhenEventsWait { after } = self.end {
            self.events_wait = self.started.elapsed() >= after && inbox::has_work(client);
        }
        pgrx::check_for_interrupts!();
    }
}

/// Works off the next step of what waits. The caller holds the progress lock.
pub(super) fn work_off(client: &mut SpiClient<'_>, catalog: &Catalog, end: StepEnd) {
    let mut step = Step::begin(end);
    while step.keys_of_pass() > 0 {
        let queued = take_keys(client, &mut step);
        if queued.is_empty() {
            if !backlog::work_off(client, catalog, &mut step) {
                break;
            }
            continue;
        }
        for (id, keys) in queued {
            refresh::refresh_keys(client, catalog, id, &keys);
        }
        step.end_pass(client);
    }
}

const TAKE_KEYS: &str = "
    with taken as (
        delete from cdc.enrich_queue
         where id = any (array(select id from cdc.enrich_queue where error is null and id > $2 order by id limit $1))
        returning id, enrichment_id, key
    )
    select enrichment_id, array_agg(distinct key), max(id) from taken group by enrichment_id order by enrichment_id";

fn take_keys(client: &mut SpiClient<'_>, step: &mut Step) -> Vec<(i32, Vec<String>)> {
    let mut take = || -> spi::Result<_> {
        let mut taken = Vec::new();
        let args = [step.keys_of_pass().into(), step.last_taken.into()];
        for row in client.update(TAKE_KEYS, None, &args)? {
            taken.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
            step.last_taken = step.last_taken.max(row.get(3)?.unwrap_or_default());
        }
        Ok(taken)
    };
    take().unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_queue", &error))
}

/// Lets what failed be tried again; returns whether anything had.
pub(crate) fn retry_failed(client: &mut SpiClient<'_>) -> bool {
    let mut retried = 0;
    for table in ["cdc.enrich_queue", "cdc.enrich_backlog"] {
        match client.update(&format!("update {table} set error = null where error is not null"), None, &[]) {
            Ok(rows) => retried += rows.len(),
            Err(error) => spi_failed("cannot retry what failed", &error),
        }
    }
    retried > 0
}
