//! `cdc.verify()`: is an enriched table, or an aggregate, what it would be if it were made from scratch?

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, newest_event};
use super::unknown;
use crate::sql_error::spi_failed;

/// A difference: the key, what is expected, what is stored; one of these null if there should be, or is, no row.
type Difference = (Option<String>, Option<JsonB>, Option<JsonB>);

/// The differences of an enriched table or aggregate from its query. It reads with the rights of whoever calls it.
#[pg_extern]
fn verify(
    name: &str,
    max_rows: default!(i64, "1000"),
) -> TableIterator<
    'static,
    (name!(key, Option<String>), name!(expected, Option<JsonB>), name!(actual, Option<JsonB>)),
> {
    let rows = Spi::connect_mut(|client| {
        let catalog = Catalog::current(client);
        if let Some(found) = catalog.enrichments.iter().find(|found| found.enrichment.name == name) {
            return enrichment_differences(client, &found.enrichment, max_rows);
        }
        match catalog.aggregates.iter().find(|found| found.aggregate.name == name) {
            Some(found) => aggregate_differences(client, &found.aggregate, max_rows),
            None => unknown(name),
        }
    });
    TableIterator::new(rows)
}

fn enrichment_differences(
    client: &mut SpiClient<'_>,
    enrichment: &cdc_core::Enrichment,
    max_rows: i64,
) -> Vec<Difference> {
    let mut read = || -> spi::Result<_> {
        let rows = client.update(&enrichment.differences(), None, &[max_rows.into()])?;
        rows.into_iter().map(|row| Ok((row.get(1)?, row.get(2)?, row.get(3)?))).collect()
    };
    read().unwrap_or_else(|error| spi_failed("cannot verify an enriched table", &error))
}

fn aggregate_differences(
    client: &mut SpiClient<'_>,
    aggregate: &cdc_core::Aggregate,
    max_rows: i64,
) -> Vec<Difference> {
    let mut read = || -> spi::Result<_> {
        let args = [newest_event(client).into(), max_rows.into()];
        let rows = client.update(&aggregate.differences(), None, &args)?;
        rows.into_iter().map(|row| Ok((None, row.get(1)?, row.get(2)?))).collect()
    };
    read().unwrap_or_else(|error| spi_failed("cannot verify an aggregate", &error))
}
