//! The private PostgreSQL: how it is set up, and what the demonstration asks it.

use std::time::Duration;

use anyhow::Context;
use harness::cluster::{Cluster, SUPERUSER};
use harness::histogram::{Bucket, Histogram};
use nix::unistd::Pid;
use tokio_postgres::Client;

use crate::derived::{self, Derived, Differences, Enriched};

/// The database of the demonstration.
pub(crate) const DATABASE: &str = "postgres";

/// The role of the bridge: it may write to the inbox and no more.
pub(crate) const BRIDGE_ROLE: &str = "cdc_bridge";

/// As a production server would have them; what makes commits durable stays on. Few checkpoints, since each makes
/// the log carry whole pages again.
const SETTINGS: [(&str, &str); 4] = [
    ("shared_preload_libraries", "pg_cdc_ods"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "15min"),
];

const SET_UP: &str = "
    create extension pg_cdc_ods;
    select cdc.install_preset('ecommerce');
    create role cdc_bridge login in role cdc_writer";

/// The customers and products that the generator's orders name, as a snapshot before the first change would leave them.
/// Few of them are inserted during a run, and without them no order is complete. They have no position, so that any
/// change of the source is newer.
const SNAPSHOT: &str = "
    insert into cdc_customers (customer_id, name, tier, region)
    select id, 'Customer ' || id,
           case when id % 100 < 50 then 'BRONZE' when id % 100 < 80 then 'SILVER' when id % 100 < 95 then 'GOLD'
                else 'PLATINUM' end,
           (array['Berlin', 'London', 'Madrid', 'Paris', 'Tokyo'])[1 + id % 5]
      from generate_series(1, 1000) as id;
    insert into cdc_products (product_id, name, category, is_active)
    select id, 'Product ' || id, (array['Books', 'Clothing', 'Garden', 'Toys'])[1 + id % 4], true
      from generate_series(1, 500) as id";

/// The table behind `cdc.stat_streams`: the view also counts what waits, which costs too much for once a second when
/// a backlog grows.
const PROGRESS: &str = "
    select coalesce(sum(events), 0)::bigint, coalesce(sum(dead_lettered), 0)::bigint,
           extract(epoch from clock_timestamp() - max(last_received_at))::float8
      from cdc.stream_progress";

const WORKER: &str = "
    select pid, restarts, last_error from cdc.stat_workers
     where kind = 'apply worker' and database = current_database()";

const LATENCY: &str = "select le_ms, events from cdc.apply_latency()";

/// What `cdc.state` calls `rows`, without counting what waits. Names are qualified and quoted.
const ROWS: &str = "
    select format('%I.%I', target_schema, target_table),
           greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0)
      from cdc.attachments
      join pg_class c on c.oid = format('%I.%I', target_schema, target_table)::regclass
     order by 1";

const TOTALS: &str = "
    select coalesce(sum(staged), 0)::bigint, coalesce(sum(applied), 0)::bigint,
           coalesce(sum(dead_lettered), 0)::bigint, (select count(*) from cdc.dlq)
      from cdc.stat_streams";

/// Starts a cluster with extension, preset, customers, products and the bridge's role, whose alerts go to `alerts_url`.
///
/// # Errors
/// If the server does not start, or the extension is not installed.
pub(crate) async fn start(alerts_url: &str) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start_with(&SETTINGS).context("cannot start the private PostgreSQL")?;
    let client = cluster.connect(DATABASE).await?;
    client.batch_execute(SET_UP).await.context("cannot set up the extension: install it by `make demo`")?;
    client.batch_execute(SNAPSHOT).await.context("cannot insert customers and products")?;
    derived::send_alerts(&client, alerts_url).await?;
    Ok(cluster)
}

/// The command that looks inside.
pub(crate) fn psql_command(cluster: &Cluster) -> String {
    format!("psql -h {} -p {} -U {SUPERUSER} {DATABASE}", cluster.socket_dir().display(), cluster.port())
}

/// A session that watches.
pub(crate) struct Database {
    client: Client,
}

/// How far the apply worker is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Messages that the worker is done with, dead letters included.
    pub(crate) settled: u64,
    /// Messages set aside.
    pub(crate) dead_lettered: u64,
    /// Since the last applied message was received.
    pub(crate) behind: Duration,
}

/// The apply worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worker {
    /// Its process, if there is one.
    pub(crate) pid: Option<Pid>,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// Why it ended the last time.
    pub(crate) last_error: Option<String>,
}

/// An ODS table and its number of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    pub(crate) table: String,
    pub(crate) rows: u64,
}

/// The exact counts at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Messages that have arrived in the inbox.
    pub(crate) staged: u64,
    /// Messages that the worker is done with, dead letters included.
    pub(crate) settled: u64,
    /// Messages that it says it has set aside.
    pub(crate) dead_lettered: u64,
    /// Rows of `cdc.dlq`.
    pub(crate) dead_letters: u64,
}

impl Database {
    /// Connects as superuser.
    ///
    /// # Errors
    /// If the server refuses.
    pub(crate) async fn connect(cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self { client: cluster.connect(DATABASE).await? })
    }

    /// Whether the server has ended the session, as when it recovers from the crash of another.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// How far the apply worker is. All of these fail if the server is gone.
    pub(crate) async fn progress(&self) -> anyhow::Result<Progress> {
        let row = self.client.query_one(PROGRESS, &[]).await.context("cannot read the progress")?;
        let seconds: Option<f64> = row.get(2);
        Ok(Progress {
            settled: count(row.get(0)),
            dead_lettered: count(row.get(1)),
            behind: Duration::from_secs_f64(seconds.unwrap_or_default().max(0.0)),
        })
    }

    /// The apply worker; the default while it has none.
    pub(crate) async fn worker(&self) -> anyhow::Result<Worker> {
        let row = self.client.query_opt(WORKER, &[]).await.context("cannot read cdc.stat_workers")?;
        Ok(row.map_or_else(Worker::default, |row| Worker {
            pid: row.get::<_, Option<i32>>(0).map(Pid::from_raw),
            restarts: count(row.get(1)),
            last_error: row.get(2),
        }))
    }

    /// Latencies of all events so far.
    pub(crate) async fn latency(&self) -> anyhow::Result<Histogram> {
        let rows = self.client.query(LATENCY, &[]).await.context("cannot read cdc.apply_latency()")?;
        let buckets = rows.iter().map(|row| Bucket { le_ms: row.get(0), events: count(row.get(1)) });
        Ok(Histogram::new(buckets.collect()))
    }

    /// Rows of each ODS table as the statistics estimate them: quick whatever the size.
    pub(crate) async fn estimated_rows(&self) -> anyhow::Result<Vec<TableRows>> {
        let rows = self.client.query(ROWS, &[]).await.context("cannot read cdc.state")?;
        Ok(rows.iter().map(|row| TableRows { table: row.get(0), rows: count(row.get(1)) }).collect())
    }

    /// Rows of these tables, counted.
    pub(crate) async fn counted_rows(&self, tables: &[TableRows]) -> anyhow::Result<Vec<TableRows>> {
        let mut counted = Vec::new();
        for TableRows { table, .. } in tables {
            let sql = format!("select count(*) from {table}");
            let row =
                self.client.query_one(&sql, &[]).await.with_context(|| format!("cannot count {table}"))?;
            counted.push(TableRows { table: table.clone(), rows: count(row.get(0)) });
        }
        Ok(counted)
    }

    /// Enriched orders, windows and alerts.
    pub(crate) async fn derived(&self) -> anyhow::Result<Derived> {
        Derived::read(&self.client).await
    }

    /// Enriched orders, counted.
    pub(crate) async fn counted_enriched(&self) -> anyhow::Result<Enriched> {
        Enriched::counted(&self.client).await
    }

    /// Orders that an alert must have told of.
    pub(crate) async fn due_alerts(&self) -> anyhow::Result<u64> {
        derived::due_alerts(&self.client).await
    }

    /// How enriched orders and windows differ from what they should be.
    pub(crate) async fn differences(&self) -> anyhow::Result<Differences> {
        Differences::find(&self.client).await
    }

    /// The exact counts.
    pub(crate) async fn totals(&self) -> anyhow::Result<Totals> {
        let row = self.client.query_one(TOTALS, &[]).await.context("cannot read cdc.stat_streams")?;
        Ok(Totals {
            staged: count(row.get(0)),
            settled: count(row.get(1)),
            dead_lettered: count(row.get(2)),
            dead_letters: count(row.get(3)),
        })
    }
}

/// Counts are never negative.
pub(crate) fn count(value: i64) -> u64 {
    value.unsigned_abs()
}
