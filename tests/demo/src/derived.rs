//! What becomes of the rows inside the database: enriched orders, windows of sums, alerts on their way.

use anyhow::Context;
use tokio_postgres::{Client, Row};

use crate::database::count;

/// The endpoint to which alerts go.
const ENDPOINT: &str = "desk";

/// Orders above this, of customers of the tier GOLD, are told. About one order in sixty is such a one, so that a minute
/// at the usual rate brings some twenty alerts.
const ALERT_ABOVE: i32 = 4_500;

/// An estimate, and those that wait for a part, which an index holds: quick whatever the size.
const ENRICHED: &str = "
    select greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0),
           (select count(*) from cdc_orders_enriched where missing <> '{}')
      from pg_class c where c.oid = 'cdc_orders_enriched'::regclass";

const ENRICHED_COUNTED: &str = "
    select count(*), count(*) filter (where not complete) from cdc_orders_enriched";

const NEWEST_WINDOW: &str = "
    select to_char(window_start, 'HH24:MI'), sum(order_count)::bigint, round(sum(total_revenue))::bigint
      from cdc_order_aggregations
     where window_start = (select max(window_start) from cdc_order_aggregations)
     group by window_start";

/// The same condition as the alert's, asked of the rows instead of their changes.
const DUE_ALERTS: &str = "
    select count(*) from cdc_orders_enriched where total_amount > $1::integer and customer_tier = 'GOLD'";

/// What failed is not counted: it waits for another try, and [`Differences`] shows it.
const TO_ENRICH: &str = "
    select (select count(*) from cdc.enrich_queue where error is null)
         + (select count(*) from cdc.enrich_backlog where error is null)";

const OUTBOX: &str = "
    select waiting + in_flight, delivered, dead + discarded from cdc.stat_endpoints where name = $1";

const DIFFERENCES: &str = "
    select (select count(*) from cdc.verify('orders_enriched')),
           (select count(*) from cdc.verify('order_aggregations'))";

/// Has the preset's alerts sent to this URL.
///
/// # Errors
/// If the extension refuses.
pub(crate) async fn send_alerts(client: &Client, url: &str) -> anyhow::Result<()> {
    let sql = format!(
        "select cdc.endpoint('{ENDPOINT}', '{url}');
         select cdc.install_preset_alerts('ecommerce', '{ENDPOINT}', amount => {ALERT_ABOVE})"
    );
    client.batch_execute(&sql).await.context("cannot set up the alerts")
}

/// What is shown while the demonstration runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Derived {
    /// Estimated.
    pub(crate) enriched: Enriched,
    /// None before the first order.
    pub(crate) newest_window: Option<Window>,
    /// Steps of enrichment that are still to do.
    pub(crate) to_enrich: u64,
    pub(crate) outbox: Outbox,
}

/// Rows of `cdc_orders_enriched`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Enriched {
    pub(crate) rows: u64,
    /// Those that miss nothing.
    pub(crate) complete: u64,
}

/// A window of `cdc_order_aggregations`, over all tiers and categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its beginning, hours and minutes in UTC.
    pub(crate) start: String,
    /// Orders; one with products of two categories counts in both.
    pub(crate) orders: u64,
    /// In whole units of money.
    pub(crate) revenue: u64,
}

/// The endpoint of the alerts, as the database sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outbox {
    /// Not yet answered.
    pub(crate) waiting: u64,
    pub(crate) delivered: u64,
    /// Refused, given up or discarded.
    pub(crate) lost: u64,
}

/// Differences from what the tables would be if they were made from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Differences {
    /// In `cdc_orders_enriched`.
    pub(crate) enriched: u64,
    /// In `cdc_order_aggregations`.
    pub(crate) windows: u64,
}

impl Derived {
    pub(crate) async fn read(client: &Client) -> anyhow::Result<Self> {
        let enriched = client.query_one(ENRICHED, &[]).await.context("cannot look at cdc_orders_enriched")?;
        let window = client.query_opt(NEWEST_WINDOW, &[]).await;
        let window = window.context("cannot look at cdc_order_aggregations")?;
        let to_enrich = client.query_one(TO_ENRICH, &[]).await.context("cannot look at cdc.enrich_queue")?;
        let outbox =
            client.query_one(OUTBOX, &[&ENDPOINT]).await.context("cannot read cdc.stat_endpoints")?;
        Ok(Self {
            enriched: Enriched::from(&enriched),
            newest_window: window.map(|row| Window {
                start: row.get(0),
                orders: count(row.get(1)),
                revenue: count(row.get(2)),
            }),
            to_enrich: count(to_enrich.get(0)),
            outbox: Outbox {
                waiting: count(outbox.get(0)),
                delivered: count(outbox.get(1)),
                lost: count(outbox.get(2)),
            },
        })
    }
}

/// Orders that an alert must have told of, as they are now. Others may have been told of before they changed.
///
/// # Errors
/// If the server is gone.
pub(crate) async fn due_alerts(client: &Client) -> anyhow::Result<u64> {
    let row = client
        .query_one(DUE_ALERTS, &[&ALERT_ABOVE])
        .await
        .context("cannot count the alerts that are due")?;
    Ok(count(row.get(0)))
}

impl Enriched {
    /// Rows counted, not estimated.
    pub(crate) async fn counted(client: &Client) -> anyhow::Result<Self> {
        let row =
            client.query_one(ENRICHED_COUNTED, &[]).await.context("cannot count cdc_orders_enriched")?;
        Ok(Self::from(&row))
    }
}

impl From<&Row> for Enriched {
    /// Of rows, and those that wait for a part. An estimate may be lower than what waits.
    fn from(row: &Row) -> Self {
        let (rows, waiting) = (count(row.get(0)), count(row.get(1)));
        Self { rows, complete: rows.saturating_sub(waiting) }
    }
}

impl Differences {
    /// Makes everything from scratch, which takes its time when there is much.
    pub(crate) async fn find(client: &Client) -> anyhow::Result<Self> {
        let row = client.query_one(DIFFERENCES, &[]).await.context("cannot compare by cdc.verify()")?;
        Ok(Self { enriched: count(row.get(0)), windows: count(row.get(1)) })
    }
}
