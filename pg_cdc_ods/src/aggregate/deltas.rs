//! The trigger of aggregated tables: adds the difference that a change makes to the windows.

use std::convert::Infallible;
use std::rc::Rc;

use cdc_core::{Aggregate, RowEvent};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::apply::{as_user, parameter};
use crate::enrich::{Catalog, ConfiguredAggregate, collecting_catalog, tell_change};
use crate::sql_error::spi_failed;

/// Statement trigger with transition tables `old_rows` and `new_rows`, made by `cdc.aggregate()`.
#[pg_trigger]
fn aggregate_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    tell_change(trigger, |client, relation, event| {
        let catalog = collecting_catalog().unwrap_or_else(|| Rc::new(Catalog::load(client)));
        for configured in catalog.aggregates.iter().filter(|configured| configured.reads(relation)) {
            add_change(client, configured, event);
        }
    });
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

fn add_change(client: &mut SpiClient<'_>, configured: &ConfiguredAggregate, event: Option<RowEvent>) {
    let aggregate = &configured.aggregate;
    let late = as_user(configured.owner(), || match event {
        Some(event) => add(client, aggregate, &aggregate.add_change(event)),
        None => {
            run(client, &aggregate.remove_all());
            0
        }
    });
    if late > 0 {
        count_late(client, aggregate, late);
    }
}

/// Runs a statement that adds contributions, and removes groups that have none left. Returns how many came late.
pub(super) fn add(client: &mut SpiClient<'_>, aggregate: &Aggregate, statement: &str) -> i64 {
    let added = client
        .update(statement, Some(1), &[aggregate.watermark.as_deref().into()])
        .and_then(|row| row.first().get_two::<Vec<String>, i64>());
    let (emptied, late) =
        added.unwrap_or_else(|error| spi_failed("cannot add to the windows of an aggregate", &error));
    if let Some(emptied) = emptied {
        let windows = parameter("text", emptied.into_iter().map(Some).collect());
        if let Err(error) = client.update(&aggregate.remove_empty(), None, &[windows.datum]) {
            spi_failed("cannot remove groups of an aggregate", &error);
        }
    }
    late.unwrap_or_default()
}

pub(super) fn run(client: &mut SpiClient<'_>, statement: &str) {
    if let Err(error) = client.update(statement, None, &[]) {
        spi_failed("cannot write the windows of an aggregate", &error);
    }
}

fn count_late(client: &mut SpiClient<'_>, aggregate: &Aggregate, late: i64) {
    let sql = "insert into cdc.aggregate_progress as p (aggregate_id, late) values ($1, $2)
               on conflict (aggregate_id) do update set late = p.late + excluded.late";
    if let Err(error) = client.update(sql, None, &[aggregate.aggregate_id.into(), late.into()]) {
        spi_failed("cannot write cdc.aggregate_progress", &error);
    }
}
