//! The private PostgreSQL with its default settings, and a fresh database for each measure.

use std::time::Duration;

use anyhow::Context;
use harness::bridge::Destination;
use harness::cluster::Cluster;
use harness::histogram::{Bucket, Histogram};
use nix::unistd::Pid;
use tokio_postgres::Client;

/// The database that is there from the beginning.
const MAINTENANCE_DATABASE: &str = "postgres";

/// The database that measures have one after another.
const SCRATCH_DATABASE: &str = "bench";

/// Longest that a worker may take to start.
const WORKER_PATIENCE: Duration = Duration::from_secs(30);

const WORKER: &str = "
    select pid from cdc.stat_workers where kind = $1 and database = current_database() and pid is not null";

/// The role of the bridge: it may write to the inbox and no more.
const BRIDGE_ROLE: &str = "cdc_bridge";

/// Roles belong to the whole server, and outlive a database.
const MAKE_BRIDGE_ROLE: &str = "
    do $$ begin
        if to_regrole('cdc_bridge') is null then create role cdc_bridge login in role cdc_writer; end if;
    end $$";

/// A running cluster.
pub(crate) struct Server {
    cluster: Cluster,
}

impl Server {
    /// One without workers: messages wait until a session applies them.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { cluster: Cluster::start_with(&[])? })
    }

    /// One in which the apply worker of each database applies what waits.
    pub(crate) fn start_with_workers() -> anyhow::Result<Self> {
        Ok(Self { cluster: Cluster::start_with(&[("shared_preload_libraries", "pg_cdc_ods")])? })
    }

    /// An empty database, in which `setup` is run. The one that the last measure had is dropped.
    pub(crate) async fn scratch(&self, setup: &str) -> anyhow::Result<Database> {
        self.drop(SCRATCH_DATABASE).await?;
        self.create(SCRATCH_DATABASE, setup).await
    }

    /// Drops a database if it is there, whoever is connected.
    async fn drop(&self, name: &str) -> anyhow::Result<()> {
        let client = self.cluster.connect(MAINTENANCE_DATABASE).await?;
        client.execute(&format!("drop database if exists {name} with (force)"), &[]).await?;
        Ok(())
    }

    /// A second session of the database that the last measure was given.
    pub(crate) async fn another_session(&self) -> anyhow::Result<Database> {
        self.connect(SCRATCH_DATABASE).await
    }

    /// Where a bridge writes to: the database that the last measure was given, which has the extension.
    pub(crate) async fn destination(&self) -> anyhow::Result<Destination<'_>> {
        let client = self.cluster.connect(SCRATCH_DATABASE).await?;
        client.batch_execute(MAKE_BRIDGE_ROLE).await.context("cannot make the bridge's role")?;
        Ok(Destination { cluster: &self.cluster, database: SCRATCH_DATABASE, role: BRIDGE_ROLE })
    }

    /// A database that stays, once it is made by [`Server::create`].
    pub(crate) async fn lasting(&self, name: &str) -> anyhow::Result<Option<Database>> {
        let client = self.cluster.connect(MAINTENANCE_DATABASE).await?;
        let known = client.query_opt("select from pg_database where datname = $1", &[&name]).await?;
        if known.is_some() { Ok(Some(self.connect(name).await?)) } else { Ok(None) }
    }

    /// A new database, in which `setup` is run. The session is another one, which has nothing cached.
    pub(crate) async fn create(&self, name: &str, setup: &str) -> anyhow::Result<Database> {
        let client = self.cluster.connect(MAINTENANCE_DATABASE).await?;
        client.execute(&format!("create database {name}"), &[]).await?;
        let database = self.connect(name).await?;
        database.client.batch_execute(setup).await.context("cannot set up a database")?;
        self.connect(name).await
    }

    /// A session of a database.
    async fn connect(&self, name: &str) -> anyhow::Result<Database> {
        let client = self.cluster.connect(name).await?;
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
        Ok(Database { client, pid: Pid::from_raw(pid) })
    }
}

/// A session.
pub(crate) struct Database {
    pub(crate) client: Client,
    /// The process that serves it.
    pub(crate) pid: Pid,
}

impl Database {
    /// Bytes of the log so far.
    pub(crate) async fn wal_position(&self) -> anyhow::Result<u64> {
        let sql = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        Ok(self.client.query_one(sql, &[]).await?.get::<_, i64>(0).unsigned_abs())
    }

    /// The first value of a query that counts.
    pub(crate) async fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let row = self.client.query_one(sql, &[]).await.with_context(|| format!("cannot run {sql}"))?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// The process of this database's apply worker, once there is one.
    pub(crate) async fn worker(&self) -> anyhow::Result<Pid> {
        self.worker_of_kind("apply worker").await
    }

    /// The process of this database's push worker, once there is one.
    pub(crate) async fn push_worker(&self) -> anyhow::Result<Pid> {
        self.worker_of_kind("push worker").await
    }

    async fn worker_of_kind(&self, kind: &str) -> anyhow::Result<Pid> {
        harness::wait_until(WORKER_PATIENCE, &format!("the {kind} starts"), async || {
            let row = self.client.query_opt(WORKER, &[&kind]).await?;
            Ok(row.map(|row| Pid::from_raw(row.get(0))))
        })
        .await
    }

    /// The process that serves the bridge, once it has connected.
    pub(crate) async fn session_of_bridge(&self) -> anyhow::Result<Pid> {
        let sql = "select pid from pg_stat_activity where usename = $1 and datname = current_database()";
        harness::wait_until(WORKER_PATIENCE, "the bridge connects", async || {
            let row = self.client.query(sql, &[&BRIDGE_ROLE]).await?;
            Ok(row.first().map(|row| Pid::from_raw(row.get(0))))
        })
        .await
    }

    /// How long messages took that the apply worker has applied so far, since this database was made.
    pub(crate) async fn latency(&self) -> anyhow::Result<Histogram> {
        let rows = self.client.query("select le_ms, events from cdc.apply_latency()", &[]).await?;
        let buckets =
            rows.iter().map(|row| Bucket { le_ms: row.get(0), events: row.get::<_, i64>(1).unsigned_abs() });
        Ok(Histogram::new(buckets.collect()))
    }
}
