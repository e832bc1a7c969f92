//! What is sent out: endpoints, the rules that say which changes and states are told to whom, and the outbox.
//!
//! ```text
//! change of a table ──trigger──► rule (a query over the changed rows) ──► documents ──► cdc.outbox ──► push worker
//! a message of a batch ─────────┤
//! a view, now and then ─────────┘
//! ```
//!
//! A rule is an alert (once for each key, until its condition has been false again) or a route (every change). Rows of
//! the outbox are written in the transaction of the change.

mod alerts;
mod backlog;
mod changes;
mod configure;
mod dead_deliveries;
mod documents;
mod endpoint;
mod endpoint_functions;
mod evaluate;
mod messages;
mod rules;

use pgrx::prelude::*;

pub(crate) use alerts::poll;
pub(crate) use dead_deliveries::requeue;
pub(crate) use endpoint::{Description, address_policy};
pub(crate) use messages::route_messages;

use crate::sql_error::spi_failed;

extension_sql_file!(
    "../../sql/outbox.sql",
    name = "outbox",
    requires = ["bootstrap", endpoint_functions::endpoints_changed]
);
extension_sql_file!("../../sql/alerts.sql", name = "alerts", requires = ["outbox", configure::alert]);

/// Whether there is somewhere to send to.
pub(crate) fn has_endpoints() -> bool {
    Spi::get_one::<bool>("select exists (select from cdc.endpoints)")
        .unwrap_or_else(|error| spi_failed("cannot read cdc.endpoints", &error))
        .unwrap_or(false)
}
