//! What is behind `cdc.pending`: how many enriched rows wait, and for what.

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::catalog::{Catalog, ConfiguredEnrichment};
use crate::apply::as_user;
use crate::sql_error::spi_failed;

/// A row of `cdc.pending`: enriched table, reason, part, rows, since when, error.
type Pending =
    (String, &'static str, Option<String>, Option<i64>, Option<TimestampWithTimeZone>, Option<String>);

#[pg_extern]
#[expect(clippy::type_complexity, reason = "the columns of a row are a tuple")]
fn pending_rows() -> TableIterator<
    'static,
    (
        name!(enrichment, String),
        name!(reason, &'static str),
        name!(part, Option<String>),
        name!(rows, Option<i64>),
        name!(since, Option<TimestampWithTimeZone>),
        name!(detail, Option<String>),
    ),
> {
    let read = Spi::connect_mut(|client| {
        let catalog = Catalog::current(client);
        let mut all = Vec::new();
        for configured in &catalog.enrichments {
            all.extend(missing(client, configured)?);
            all.extend(queued(client, configured)?);
            all.extend(fan_outs(client, configured)?);
        }
        Ok(all)
    });
    TableIterator::new(
        read.unwrap_or_else(|error: spi::Error| spi_failed("cannot read what is pending", &error)),
    )
}

/// Rows that wait for a part.
fn missing(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment) -> spi::Result<Vec<Pending>> {
    let Some(sql) = configured.enrichment.waiting() else { return Ok(Vec::new()) };
    as_user(configured.owner(), || {
        let rows = client.update(&sql, None, &[])?;
        let name = &configured.enrichment.name;
        rows.into_iter()
            .map(|row| Ok((name.clone(), "missing", row.get(1)?, row.get(2)?, None, None)))
            .collect()
    })
}

const QUEUED: &str = "
    select count(distinct key), min(queued_at), error from cdc.enrich_queue where enrichment_id = $1 group by error";

/// Keys in the queue.
fn queued(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment) -> spi::Result<Vec<Pending>> {
    let rows = client.update(QUEUED, None, &[configured.enrichment.enrichment_id.into()])?;
    let name = &configured.enrichment.name;
    let mut all = Vec::new();
    for row in rows {
        let error = row.get::<String>(3)?;
        let reason = if error.is_some() { "failed" } else { "queued" };
        all.push((name.clone(), reason, None, row.get(1)?, row.get(2)?, error));
    }
    Ok(all)
}

const BACKLOG: &str = "
    select dependency, changed, last_key, queued_at, error from cdc.enrich_backlog where enrichment_id = $1 order by id";

/// Changes in the backlog, each with the keys that are left; a whole table is not counted, and neither is what failed.
fn fan_outs(client: &mut SpiClient<'_>, configured: &ConfiguredEnrichment) -> spi::Result<Vec<Pending>> {
    let enrichment = &configured.enrichment;
    let mut changes = Vec::new();
    for row in client.update(BACKLOG, None, &[enrichment.enrichment_id.into()])? {
        changes.push((
            row.get::<i16>(1)?,
            row.get::<JsonB>(2)?,
            row.get::<String>(3)?,
            row.get::<TimestampWithTimeZone>(4)?,
            row.get::<String>(5)?,
        ));
    }
    let mut all = Vec::new();
    for (place, changed, last_key, queued_at, error) in changes {
        let place = place.and_then(|place| usize::try_from(place).ok());
        let dependency = place.and_then(|place| enrichment.dependencies.get(place));
        let rows = match dependency {
            Some(dependency) if error.is_none() => as_user(configured.owner(), || {
                let args = [changed.into(), last_key.into()];
                client.update(&enrichment.count_keys(dependency), Some(1), &args)?.first().get_one::<i64>()
            })?,
            _ => None,
        };
        let reason = if error.is_some() { "failed" } else { "fan-out" };
        let part = dependency.map(|dependency| format!("{}.{}", dependency.schema, dependency.table));
        all.push((enrichment.name.clone(), reason, part, rows, queued_at, error));
    }
    Ok(all)
}
