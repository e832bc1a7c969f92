//! The push worker: documents of a route on a table, on their way to a receiver on the same machine.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::ensure;
use harness::wait_until;
use rest_receiver::{Options, Receiver};

use crate::bench::Bench;
use crate::server::Database;
use crate::stopwatch::{Reading, Stopwatch};

const SET_UP: &str = include_str!("../../sql/push.sql");

const INSERT: &str = "
    insert into orders
    select n, n % 1000, 'PENDING', 20 + n % 4000, 'Garden street ' || n, now() from generate_series(1, $1) as n";

/// The view `cdc.stat_endpoints` also counts what waits, which costs more.
const DELIVERED: &str = "select coalesce(sum(delivered), 0)::bigint from cdc.endpoint_counters";

/// Longest that all deliveries may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an endpoint takes in a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Requests {
    /// Up to 100 documents.
    Batches,
    /// One document.
    Singly,
}

impl Requests {
    fn endpoint(self, receiver: &Receiver) -> String {
        let (path, options) = match self {
            Self::Batches => ("/api/v1/events/batch", "batch_size => 100"),
            Self::Singly => ("/api/v1/events", "concurrency => 16"),
        };
        format!("select cdc.endpoint('shop', '{}', {options})", receiver.url(path))
    }

    fn documents(self, bench: &Bench) -> u64 {
        match self {
            Self::Batches => bench.extent.documents,
            // They take longer, and the receiver keeps each request.
            Self::Singly => bench.extent.documents / 4,
        }
    }
}

/// The documents are there at once, when the transaction commits that makes them.
pub(super) async fn run(bench: &Bench, requests: Requests) -> anyhow::Result<Reading> {
    let receiver = Receiver::start(Options::default())?;
    let server = bench.server_with_workers()?;
    let database = server.scratch(SET_UP).await?;
    database.client.batch_execute(&requests.endpoint(&receiver)).await?;
    database.client.batch_execute("select cdc.route('orders', 'orders', 'true', 'endpoint:shop')").await?;
    let watcher = server.another_session().await?;
    let worker = watcher.push_worker().await?;
    let documents = requests.documents(bench);
    database.client.batch_execute("begin").await?;
    database.client.execute(INSERT, &[&i32::try_from(documents)?]).await?;
    let stopwatch = Stopwatch::start_watching(&watcher, worker).await?;
    database.client.batch_execute("commit").await?;
    wait_for_delivered(&watcher, documents).await?;
    let reading = stopwatch.stop(&watcher, documents).await?;
    check(&receiver, &watcher, documents).await?;
    Ok(reading)
}

async fn wait_for_delivered(database: &Database, documents: u64) -> anyhow::Result<()> {
    wait_until(PATIENCE, "all documents are delivered", async || {
        Ok((database.count(DELIVERED).await? >= documents).then_some(()))
    })
    .await
}

/// That each document has come once, and none is left.
async fn check(receiver: &Receiver, database: &Database, documents: u64) -> anyhow::Result<()> {
    let observed = receiver.observed();
    let ids = || observed.taken().flat_map(|request| request.event_ids());
    let (all, different) = (ids().count() as u64, ids().collect::<HashSet<_>>().len() as u64);
    ensure!(
        (all, different) == (documents, documents),
        "{all} documents have come, {different} different ones, expected {documents}"
    );
    let left = database.count("select count(*) from cdc.outbox").await?;
    ensure!(left == 0, "{left} documents are left in the outbox");
    Ok(())
}
