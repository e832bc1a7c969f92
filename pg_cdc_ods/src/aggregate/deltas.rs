//! The trigger of aggregated tables: adds the difference that a change makes to the windows.

use std::convert::Infallible;

use cdc_core::Aggregate;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::apply::{as_user, parameter};
use crate::changed_rows::{self, Change, ChangedRows};
use crate::enrich::{Catalog, ConfiguredAggregate, newest_event};
use crate::plan_cache;
use crate::spi_rows::Rows;
use crate::sql_error::spi_failed;

/// Statement trigger with transition tables `old_rows` and `new_rows`, made by `cdc.aggregate()`.
#[pg_trigger]
fn aggregate_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    changed_rows::tell(trigger, |client, relation, change| {
        let catalog = Catalog::current(client);
        for configured in catalog.aggregates.iter().filter(|configured| configured.reads(relation)) {
            match &change {
                Change::Rows(rows) => add_change(client, configured, rows),
                Change::Truncate => as_user(configured.owner(), || {
                    run(client, &configured.aggregate.remove_all());
                }),
            }
        }
    });
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

fn add_change(client: &mut SpiClient<'_>, configured: &ConfiguredAggregate, rows: &ChangedRows<'_>) {
    rows.with_different(configured.used_columns(), |rows| {
        if rows.len() == 0 {
            return;
        }
        let aggregate = &configured.aggregate;
        let newest = newest_event(client);
        let statement = aggregate.add_change(rows.event);
        let target = Some(configured.target());
        let late = rows.with_names(|| {
            as_user(configured.owner(), || {
                let added = plan_cache::update_over(client, &rows, target, &statement, &[newest.into()])
                    .and_then(|rows| Added::read(&rows));
                match added {
                    Ok(added) => added.finish(client, aggregate),
                    Err(error) => spi_failed("cannot add to the windows of an aggregate", &error),
                }
            })
        });
        if late > 0 {
            count_late(client, aggregate, late);
        }
    });
}

/// What a statement tells that adds contributions.
#[derive(Default)]
struct Added {
    /// The beginnings of windows in which a group has none left.
    emptied: Option<Vec<String>>,
    /// How many came late.
    late: Option<i64>,
}

impl Added {
    fn read(rows: &Rows<'_>) -> spi::SpiResult<Self> {
        let Some(row) = rows.iter().next() else { return Ok(Self::default()) };
        Ok(Self { emptied: row.get(1)?, late: row.get(2)? })
    }

    /// Removes groups that have no contributions left. Returns how many contributions came late.
    fn finish(self, client: &mut SpiClient<'_>, aggregate: &Aggregate) -> i64 {
        if let Some(emptied) = self.emptied {
            let windows = parameter("text", emptied.into_iter().map(Some).collect());
            if let Err(error) = plan_cache::update(client, &aggregate.remove_empty(), &[windows.datum]) {
                spi_failed("cannot remove groups of an aggregate", &error);
            }
        }
        self.late.unwrap_or_default()
    }
}

/// Adds what all rows of the source contribute to the windows, of which there are none.
pub(super) fn add_all(client: &mut SpiClient<'_>, aggregate: &Aggregate) {
    let newest = newest_event(client);
    if let Err(error) = client.update(&aggregate.add_all(), None, &[newest.into()]) {
        spi_failed("cannot fill the windows of an aggregate", &error);
    }
}

pub(super) fn run(client: &mut SpiClient<'_>, statement: &str) {
    if let Err(error) = client.update(statement, None, &[]) {
        spi_failed("cannot write the windows of an aggregate", &error);
    }
}

fn count_late(client: &mut SpiClient<'_>, aggregate: &Aggregate, late: i64) {
    let sql = "insert into cdc.aggregate_progress as p (aggregate_id, late) values ($1, $2)
               on conflict (aggregate_id) do update set late = p.late + excluded.late";
    if let Err(error) = plan_cache::update(client, sql, &[aggregate.aggregate_id.into(), late.into()]) {
        spi_failed("cannot write cdc.aggregate_progress", &error);
    }
}
