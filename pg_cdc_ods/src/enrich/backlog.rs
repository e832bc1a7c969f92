//! Works off changes that concern very many keys: it walks the enriched table in the order of its key, and looks for the
//! keys of the change in one stretch of it after another.
//!
//! To look up which keys a change makes dirty means to read all that it concerns. Within a stretch of keys, the index that
//! serves the lookups by key serves this, too, so that a look costs no more than to make the stretch anew.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cdc_core::{Enrichment, Look};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use super::queue::{self, Step};
use super::refresh;
use crate::apply::as_user;
use crate::plan_cache;
use crate::settings;
use crate::settings_scope::with_settings;
use crate::spi_rows::{Row, Rows, Values};
use crate::sql_error::spi_failed;
use crate::subtransaction;

/// Steps whose keys are read at once at most.
const STEPS_READ_AT_ONCE: i32 = 10;

/// A change that makes many keys dirty, as it lies in the backlog.
struct Change<'r> {
    id: i64,
    enrichment_id: i32,
    dependency: Option<usize>,
    last_key: Option<&'r str>,
    /// The changed rows, of which there may be very many: they are not opened here.
    row: Values<'r, 5>,
}

/// What a look has found.
struct Found {
    /// In their order.
    keys: Vec<String>,
    /// Up to where that is all; `None` if it is all that was left.
    done_to: Option<String>,
}

thread_local! {
    /// The next look at the change with this number.
    static NEXT_LOOK: Cell<Option<(i64, Look)>> = const { Cell::new(None) };
}

/// Looks for the next keys of the first change and makes their rows anew; returns whether there is a change.
pub(super) fn work_off(client: &mut SpiClient<'_>, catalog: &Catalog, step: &mut Step) -> bool {
    let changes = first_change(client);
    let Some(change) = changes.iter().next().map(Change::read) else { return false };
    let Some(configured) = catalog.enrichment(change.enrichment_id) else { return false };
    let look = next_look(change.id);
    let started = Instant::now();
    let Some(Found { keys, done_to }) = find_or_park(client, configured, &change, look) else {
        step.end_pass(client);
        return true;
    };
    let looking = started.elapsed();
    match done_to {
        Some(key) => update(client, SET_LAST_KEY, change.id, &key),
        None => delete(client, change.id),
    }
    let making = make_anew(client, catalog, change.enrichment_id, &keys, step);
    let next = look.next(keys.len() as i64, looking, making, shortest_look(), most_keys());
    NEXT_LOOK.set(Some((change.id, next)));
    true
}

/// Makes the rows of these keys anew in passes; when the step ends before, the rest waits in the queue. Returns the time
/// that it takes for all of them.
fn make_anew(
    client: &mut SpiClient<'_>,
    catalog: &Catalog,
    enrichment_id: i32,
    keys: &[String],
    step: &mut Step,
) -> Duration {
    let started = Instant::now();
    let mut left = keys;
    loop {
        let (now, later) =
            left.split_at(left.len().min(usize::try_from(step.keys_of_pass()).unwrap_or_default()));
        refresh::refresh_keys(client, catalog, enrichment_id, now);
        left = later;
        step.end_pass(client);
        if left.is_empty() || step.keys_of_pass() == 0 {
            break;
        }
    }
    let done = (keys.len() - left.len()).max(1);
    let making = started.elapsed().mul_f64(keys.len() as f64 / done as f64);
    queue::put_keys(client, enrichment_id, left.to_vec(), None);
    making
}

const FIRST_CHANGE: &str = "
    select id, enrichment_id::bigint, dependency::bigint, last_key, changed
      from cdc.enrich_backlog where error is null order by id limit 1";

fn first_change<'c>(client: &mut SpiClient<'c>) -> Rows<'c> {
    plan_cache::update(client, FIRST_CHANGE, &[])
        .unwrap_or_else(|error| spi_failed("cannot read cdc.enrich_backlog", &error))
}

impl<'r> Change<'r> {
    fn read(row: Row<'r>) -> Self {
        let row = row.values();
        let number = |column| row.word(column).unwrap_or_default();
        Self {
            id: number(1),
            enrichment_id: i32::try_from(number(2)).unwrap_or_default(),
            dependency: row.word(3).and_then(|place| usize::try_from(place).ok()),
            last_key: row.text(4),
            row,
        }
    }

    fn rows(&self) -> DatumWithOid<'r> {
        self.row.json_parameter(5)
    }
}

fn next_look(change: i64) -> Look {
    match NEXT_LOOK.get() {
        Some((of, look)) if of == change => look,
        _ => Look::short(shortest_look()),
    }
}

fn shortest_look() -> i64 {
    settings::ENRICH_STEP.get().min(queue::PASS_KEYS).into()
}

fn most_keys() -> i64 {
    settings::ENRICH_STEP.get().saturating_mul(STEPS_READ_AT_ONCE).into()
}

/// The next keys that a change makes dirty; `None` if the query for them fails: the change then waits for its repair.
fn find_or_park(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    change: &Change<'_>,
    look: Look,
) -> Option<Found> {
    let attempt = std::panic::AssertUnwindSafe(|| {
        as_user(configured.owner(), || find(client, configured, change, look))
    });
    match subtransaction::run(move || { attempt }()) {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => spi_failed("cannot read what a change makes dirty", &error),
        Err(failure) => {
            refresh::ensure_fault_of_configuration(&failure);
            update(client, SET_ERROR, change.id, &failure.message);
            None
        }
    }
}

fn find(
    client: &mut SpiClient<'_>,
    configured: &ConfiguredEnrichment,
    change: &Change<'_>,
    look: Look,
) -> spi::Result<Found> {
    let enrichment = &configured.enrichment;
    let last_key = change.last_key;
    let (statement, args, end) = match change.dependency.and_then(|place| enrichment.dependencies.get(place))
    {
        Some(dependency) => {
            let end = end_of_stretch(client, enrichment, last_key, look.rows)?;
            let args = vec![change.rows(), last_key.into(), end.as_deref().into(), look.keys.into()];
            (enrichment.next_keys(dependency), args, end)
        }
        None => (enrichment.next_of_all_keys(), vec![last_key.into(), look.keys.into()], None),
    };
    // Planned anew each time, for the stretch that it is.
    let rows = with_settings(&[(c"jit", c"off")], || client.update(&statement, Some(1), &args));
    let keys = rows?.first().get_one::<Vec<String>>()?.unwrap_or_default();
    let done_to = if (keys.len() as i64) < look.keys { end } else { keys.last().cloned() };
    Ok(Found { keys, done_to })
}

/// The key at which the next stretch of the enriched table ends; `None` if that is its end.
fn end_of_stretch(
    client: &mut SpiClient<'_>,
    enrichment: &Enrichment,
    last_key: Option<&str>,
    rows: i64,
) -> spi::Result<Option<String>> {
    let statement = enrichment.end_of_stretch(last_key.is_none());
    plan_cache::update(client, &statement, &[last_key.into(), rows.into()])?.one::<String>()
}

const SET_ERROR: &str = "update cdc.enrich_backlog set error = $2 where id = $1";
const SET_LAST_KEY: &str = "update cdc.enrich_backlog set last_key = $2 where id = $1";

fn update(client: &mut SpiClient<'_>, sql: &str, id: i64, text: &str) {
    if let Err(error) = client.update(sql, None, &[id.into(), text.into()]) {
        spi_failed("cannot write cdc.enrich_backlog", &error);
    }
}

fn delete(client: &mut SpiClient<'_>, id: i64) {
    if let Err(error) = client.update("delete from cdc.enrich_backlog where id = $1", None, &[id.into()]) {
        spi_failed("cannot write cdc.enrich_backlog", &error);
    }
}
