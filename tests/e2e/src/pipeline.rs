//! Broker, cluster and programs of one test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use cdc_bridge::solace::Library;
use harness::cluster::Cluster;
use harness::process::ManagedProcess;
use harness::{paths, wait_until};
use smf_loopback::{BrokerHandle, QueueStats, Stats};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::broker::TestBroker;
use crate::generator::{Generator, Traffic};
use crate::{PATIENCE, Published};

const DATABASE: &str = "postgres";

/// The role of the bridge, with the rights that the manual gives it.
const BRIDGE_ROLE: &str = "cdc_bridge";

/// The inbox is emptied as messages are applied; `e2e.staged` keeps who was there.
const SET_UP: &str = "
    create extension pg_cdc_ods;
    select cdc.install_preset('ecommerce');
    create role cdc_bridge login in role cdc_writer;
    create schema e2e;
    create table e2e.staged (message_id text, payload_md5 text);
    create function e2e.remember() returns trigger language plpgsql security definer as $$
    begin
        insert into e2e.staged select message_id, md5(payload) from arrived;
        return null;
    end
    $$;
    create trigger remember after insert on cdc.inbox referencing new table as arrived
        for each statement execute function e2e.remember()";

/// Messages staged, told apart by the broker's id of each; and how often anything was staged, again after a fault too.
const STAGED: &str = "select count(distinct message_id), count(*) from e2e.staged";

/// Messages applied (dead letters among them), pending and dead letters by the counters; dead letters by the table; and
/// staged messages whose payload is a dead letter.
const ACCOUNT: &str = "
    select sum(applied)::bigint, sum(pending)::bigint, sum(dead_lettered)::bigint, (select count(*) from cdc.dlq),
           (select count(*) from e2e.staged where payload_md5 in (select md5(payload) from cdc.dlq))
      from cdc.stat_streams";

/// The pieces of one run. The programs are started by the test, so that it can kill them.
pub struct Pipeline {
    broker: TestBroker,
    cluster: Cluster,
    folder: TempDir,
    library: PathBuf,
}

impl Pipeline {
    /// Starts a cluster around the broker that the environment wants; `None`, with the reason printed, where a part is
    /// missing.
    ///
    /// # Errors
    /// If a part that is there does not start.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let Some(library) = libsolclient() else { return Ok(None) };
        let broker = if TestBroker::is_solace_wanted() {
            let loaded = Library::load(Some(&library))?;
            tokio::task::block_in_place(|| TestBroker::solace(loaded))?
        } else {
            TestBroker::loopback()?
        };
        Self::around(broker, library).await.map(Some)
    }

    /// As [`Pipeline::start`], for a test that needs the hooks or counters of the loopback broker: it is skipped where
    /// the environment wants another one.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with_hooks() -> anyhow::Result<Option<Self>> {
        if TestBroker::is_solace_wanted() {
            println!("skipped: it needs the hooks and counters of the loopback broker");
            return Ok(None);
        }
        Self::start().await
    }

    async fn around(broker: TestBroker, library: PathBuf) -> anyhow::Result<Self> {
        let pipeline = Self { broker, cluster: Cluster::start()?, folder: tempfile::tempdir()?, library };
        pipeline.connect().await?.batch_execute(SET_UP).await?;
        Ok(pipeline)
    }

    /// The server.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The broker.
    #[must_use]
    pub fn broker(&self) -> &TestBroker {
        &self.broker
    }

    /// The hooks of the loopback broker.
    ///
    /// # Errors
    /// If the broker is another one: the test should have used [`Pipeline::start_with_hooks`].
    pub fn hooks(&self) -> anyhow::Result<&BrokerHandle> {
        match &self.broker {
            TestBroker::Loopback(broker) => Ok(broker),
            TestBroker::Solace(_) => bail!("a Solace broker has no hooks"),
        }
    }

    /// The counters of the queue, if the broker tells them.
    #[must_use]
    pub fn queue(&self) -> Option<QueueStats> {
        match &self.broker {
            TestBroker::Loopback(broker) => broker.stats().queues.remove(self.broker.queue()),
            TestBroker::Solace(_) => None,
        }
    }

    /// Waits until the loopback broker's queue is in a state.
    ///
    /// # Errors
    /// If it does not get there, or the broker is another one.
    pub fn wait_for_queue(&self, met: impl Fn(&QueueStats) -> bool) -> anyhow::Result<QueueStats> {
        let name = self.broker.queue();
        let met = |stats: &Stats| stats.queues.get(name).is_some_and(&met);
        let hooks = self.hooks()?;
        let mut stats = tokio::task::block_in_place(|| hooks.wait_until(PATIENCE, met))?;
        stats.queues.remove(name).context("the queue is gone")
    }

    /// libsolclient, for clients in this process.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn library(&self) -> anyhow::Result<Library> {
        Ok(Library::load(Some(&self.library))?)
    }

    /// Connects as superuser; waits for a server that is recovering.
    ///
    /// # Errors
    /// If the server does not recover in time.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let mut refusal = None;
        let connected = wait_until(PATIENCE, "the server takes connections", async || {
            match self.cluster.connect(DATABASE).await {
                Ok(client) => Ok(Some(client)),
                Err(error) => {
                    refusal = Some(error);
                    Ok(None)
                }
            }
        });
        connected.await.with_context(|| format!("it says: {refusal:?}"))
    }

    /// Starts `cdc-bridge run`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_bridge(&self) -> anyhow::Result<ManagedProcess> {
        self.start_program("bridge", &["run".to_owned()])
    }

    /// Starts a generator that publishes to the queue.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_generator(&self, traffic: &Traffic<'_>) -> anyhow::Result<Generator> {
        let record = self.folder.path().join("published.ndjson");
        let mut arguments = traffic.arguments();
        let prefix = self.broker.topic_prefix().to_owned();
        arguments.extend(["--topic-prefix".to_owned(), prefix, "--record".to_owned()]);
        arguments.push(record.to_string_lossy().into_owned());
        Ok(Generator { process: self.start_program("generator", &arguments)?, record })
    }

    /// Has the generator write to a file, which is returned, instead of publishing.
    ///
    /// # Errors
    /// If it fails.
    pub async fn generate_file(&self, traffic: &Traffic<'_>) -> anyhow::Result<PathBuf> {
        let output = self.folder.path().join("events.ndjson");
        let mut arguments = traffic.arguments();
        arguments.extend(["--output".to_owned(), output.to_string_lossy().into_owned()]);
        let mut process = self.start_program("generator", &arguments)?;
        let status = wait_until(PATIENCE, "the generator ends", async || process.ended()).await?;
        ensure!(status.success(), "the generator failed:\n{}", process.log_tail());
        Ok(output)
    }

    fn start_program(&self, name: &str, arguments: &[String]) -> anyhow::Result<ManagedProcess> {
        let mut command = Command::new(paths::bridge()?);
        command
            .args(arguments)
            .envs(self.broker.environment())
            .env(paths::SOLCLIENT_VARIABLE, &self.library)
            .env("POSTGRES_HOST", self.cluster.socket_dir())
            .env("POSTGRES_PORT", self.cluster.port().to_string())
            .env("POSTGRES_DB", DATABASE)
            .env("POSTGRES_USER", BRIDGE_ROLE);
        ManagedProcess::start(name, command, self.folder.path())
    }

    /// Waits until everything that was published is staged, stops the bridge in order, and compares: nothing lost,
    /// every staged message applied or a dead letter, all tables as the model has them.
    ///
    /// # Errors
    /// If it is not so, or the bridge has ended before.
    pub async fn ensure_all_arrives(
        &self,
        mut bridge: ManagedProcess,
        published: &Published,
    ) -> anyhow::Result<()> {
        self.wait_until_staged(&mut bridge, published).await?;
        let status = bridge.terminate(PATIENCE)?;
        ensure!(status.success(), "the bridge ended with {status}:\n{}", bridge.log_tail());
        let client = self.connect().await?;
        client.query_one("select cdc.flush(make_interval(secs => $1))", &[&PATIENCE.as_secs_f64()]).await?;
        self.ensure_balanced(&client, published).await?;
        published.ensure_applied(&client).await
    }

    /// Waits until so many messages are staged.
    ///
    /// # Errors
    /// If it does not come to that.
    pub async fn wait_for_staged(&self, messages: u64) -> anyhow::Result<()> {
        let client = self.connect().await?;
        let what = format!("{messages} messages are staged");
        let reached = async || Ok((staged(&client).await?.messages >= messages).then_some(()));
        wait_until(PATIENCE, &what, reached).await
    }

    async fn wait_until_staged(
        &self,
        bridge: &mut ManagedProcess,
        published: &Published,
    ) -> anyhow::Result<()> {
        let all = match &self.broker {
            TestBroker::Loopback(_) => self.wait_for_queue(|queue| queue.depth == 0).map(drop),
            // It does not tell what waits in a queue.
            TestBroker::Solace(_) => self.wait_for_staged(published.messages()).await,
        };
        bridge.ensure_running()?;
        all.with_context(|| format!("the bridge said:\n{}", bridge.log_tail()))
    }

    /// Fails unless each message in the queue was staged, and each staged one was applied once or is a dead letter once.
    async fn ensure_balanced(&self, client: &Client, published: &Published) -> anyhow::Result<()> {
        let staged = staged(client).await?;
        let row = client.query_one(ACCOUNT, &[]).await?;
        let [applied, pending, counted_letters, letters, broken]: [u64; 5] =
            std::array::from_fn(|column| row.get::<_, i64>(column).unsigned_abs());
        println!(
            "{} published, {} staged, {} of them again, {} applied, {letters} dead letters",
            published.messages(),
            staged.rows,
            staged.rows - staged.messages,
            applied - counted_letters
        );
        // A publisher that lost its connection may have put a message into the queue twice.
        let in_queue = self.queue().map_or(published.messages(), |queue| queue.enqueued);
        ensure!(in_queue >= published.messages(), "only {in_queue} messages came to the queue");
        ensure!(staged.messages == in_queue, "{} of {in_queue} messages were staged", staged.messages);
        ensure!(applied == staged.rows && pending == 0, "{applied} applied, {pending} pending of {staged:?}");
        ensure!(
            letters == broken && counted_letters == broken,
            "{broken} staged messages cannot be read; {letters} are dead letters, {counted_letters} are counted"
        );
        Ok(())
    }
}

#[derive(Debug)]
struct Staged {
    messages: u64,
    rows: u64,
}

async fn staged(client: &Client) -> anyhow::Result<Staged> {
    let row = client.query_one(STAGED, &[]).await?;
    let count = |column| row.get::<_, i64>(column).unsigned_abs();
    Ok(Staged { messages: count(0), rows: count(1) })
}

/// The library, or `None` with the reason printed.
fn libsolclient() -> Option<PathBuf> {
    let library = paths::solclient();
    if library.is_none() {
        println!(
            "skipped: there is no libsolclient; run scripts/setup.sh or set {}",
            paths::SOLCLIENT_VARIABLE
        );
    }
    library
}
