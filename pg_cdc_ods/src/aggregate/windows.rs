//! The clock of events, and the windows that it closes.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::apply::as_user;
use crate::enrich::{Catalog, newest_event};
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// An event whose time lies ahead of this server's clock moves the clock of events only up to now.
const ADVANCE: &str = "
    update cdc.event_clock c set newest = n.newest
      from (select least($1, clock_timestamp()) as newest) n
     where c.newest is null or c.newest < n.newest";

/// Moves the clock to the time of the newest event of a batch, and closes the windows that are over by it.
pub(crate) fn advance_clock(client: &mut SpiClient<'_>, newest: Option<TimestampWithTimeZone>) {
    let Some(newest) = newest else { return };
    match plan_cache::update(client, ADVANCE, &[newest.into()]).map(|rows| rows.len()) {
        Ok(0) => (),
        Ok(_) => close_windows(client),
        Err(error) => spi_failed("cannot write cdc.event_clock", &error),
    }
}

fn close_windows(client: &mut SpiClient<'_>) {
    let newest = newest_event(client);
    for configured in &Catalog::current(client).aggregates {
        let statement = configured.aggregate.close();
        let closed = as_user(configured.owner(), || {
            plan_cache::update(client, &statement, &[newest.into()]).map(drop)
        });
        if let Err(error) = closed {
            spi_failed("cannot close the windows of an aggregate", &error);
        }
    }
}
