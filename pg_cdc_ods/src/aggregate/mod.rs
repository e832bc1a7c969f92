//! Window aggregates: sums per tumbling window and group, kept by adding the difference that each change makes.

mod configure;
mod deltas;
mod windows;

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::resolve::SearchPath;
use crate::sql_error::{raise, spi_failed};
use configure::{Declaration, TRIGGERS};
pub(crate) use windows::advance_clock;

const HAS_AGGREGATE: &str =
    "select exists (select from cdc.aggregates where source_schema = $1 and source_table = $2)";

#[pg_extern]
#[expect(
    clippy::too_many_arguments,
    reason = "they are the arguments of an SQL function, which have names there"
)]
fn aggregate(
    name: &str,
    source: &str,
    target: &str,
    contributions: &str,
    groups: Vec<String>,
    counter: &str,
    window_size: default!(Interval, "'5 minutes'"),
    watermark_delay: default!(Interval, "'10 seconds'"),
    search_path: default!(&str, "current_setting('search_path')"),
) -> i32 {
    Spi::connect_mut(|client| {
        let before = source_of(client, name);
        let path = SearchPath(search_path);
        let declaration = Declaration {
            name,
            source,
            target,
            contributions,
            groups,
            counter,
            window_size,
            watermark_delay,
            path,
        };
        let id = declaration.configure(client);
        TRIGGERS.drop_needless(client, before.as_slice(), HAS_AGGREGATE);
        id
    })
}

#[pg_extern]
fn drop_aggregate(name: &str) {
    Spi::connect_mut(|client| {
        let before = source_of(client, name);
        if let Err(error) = client.update("delete from cdc.aggregates where name = $1", None, &[name.into()])
        {
            spi_failed("cannot write cdc.aggregates", &error);
        }
        if before.is_empty() {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("there is no aggregate of the name \"{name}\""),
                "See cdc.aggregates for what there is.",
            );
        }
        TRIGGERS.drop_needless(client, &before, HAS_AGGREGATE);
    });
}

/// Schema and name of the table that is aggregated; nothing if there is no such aggregate.
fn source_of(client: &mut SpiClient<'_>, name: &str) -> Vec<(String, String)> {
    let sql = "select source_schema, source_table from cdc.aggregates where name = $1";
    let mut read = || -> spi::Result<_> {
        let mut tables = Vec::new();
        for row in client.update(sql, None, &[name.into()])? {
            tables.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
        }
        Ok(tables)
    };
    read().unwrap_or_else(|error| spi_failed("cannot read cdc.aggregates", &error))
}
