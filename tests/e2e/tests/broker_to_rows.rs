//! The whole way through the real parts: generator, libsolclient, loopback broker, bridge, extension. The broker is
//! a double (in memory, see tests/smf-loopback); everything else is what users run.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::cluster::Cluster;
use harness::model::{Model, diff, read_table};
use smf_loopback::{Broker, BrokerHandle, Config, QueueConfig};
use tokio_postgres::Client;

/// Far more than a run takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
const QUEUE: &str = "cdc.q";

/// A child process, killed when it goes out of scope.
struct Process(Child);

impl Process {
    fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended processes refuse the signal, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pieces of one run.
struct Pipeline {
    broker: BrokerHandle,
    cluster: Cluster,
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl Pipeline {
    /// Starts broker and cluster; `None`, with the reason printed, where libsolclient is missing.
    async fn start() -> anyhow::Result<Option<Self>> {
        let library = std::env::var_os("LIBSOLCLIENT").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/solclient/lib/libsolclient.so"),
            PathBuf::from,
        );
        if !library.exists() {
            println!(
                "skipped: there is no libsolclient at {}; run scripts/fetch-solclient.sh",
                library.display()
            );
            return Ok(None);
        }
        let broker = Broker::start(Config {
            queues: vec![QueueConfig::new(QUEUE, ["cdc/oracle/>"])],
            ..Config::default()
        })?;
        let cluster = Cluster::start()?;
        let client = cluster.connect("postgres").await?;
        client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
        Ok(Some(Self { broker, cluster, folder: tempfile::tempdir()?, library }))
    }

    fn bridge(&self, args: &[&str]) -> anyhow::Result<Process> {
        let program = std::env::var("PG_CDC_ODS_BRIDGE")
            .context("PG_CDC_ODS_BRIDGE names no cdc-bridge: run `make e2e`")?;
        let log = File::options().create(true).append(true).open(self.folder.path().join("bridge.log"))?;
        let child = Command::new(program)
            .args(args)
            .env("LIBSOLCLIENT", &self.library)
            .env("SOLACE_HOST", "127.0.0.1")
            .env("SOLACE_PORT", self.broker.smf_addr().port().to_string())
            .env("SOLACE_QUEUES", QUEUE)
            .env("POSTGRES_HOST", self.cluster.socket_dir())
            .env("POSTGRES_PORT", self.cluster.port().to_string())
            .env("POSTGRES_DB", "postgres")
            .env("POSTGRES_USER", "postgres")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Process(child))
    }

    /// Publishes events and gives the file that tells what was published.
    fn publish(&self, count: &str, faults: &[&str]) -> anyhow::Result<(Process, PathBuf)> {
        let file = self.folder.path().join("published.ndjson");
        let record = file.to_string_lossy().into_owned();
        let mut args = vec!["generate", "--rate", "0", "--count", count, "--seed", "11", "--record", &record];
        args.extend_from_slice(faults);
        println!("seed 11");
        Ok((self.bridge(&args)?, file))
    }

    /// Waits until the broker's queue is empty and everything is applied.
    async fn drained(&self) -> anyhow::Result<Client> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let queue = self.broker.stats().queues.get(QUEUE).cloned().unwrap_or_default();
            if queue.depth == 0 && queue.unacked == 0 {
                let client = self.cluster.connect("postgres").await?;
                client.query_one("select cdc.flush()", &[]).await?;
                return Ok(client);
            }
            let log = std::fs::read_to_string(self.folder.path().join("bridge.log")).unwrap_or_default();
            let tail: String = log.lines().rev().take(20).collect::<Vec<_>>().join("\n");
            ensure!(Instant::now() < deadline, "the queue is not drained: {queue:?}\n{tail}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn assert_rows_match(&self, client: &Client, file: &Path) -> anyhow::Result<()> {
        let model = Model::from_ndjson(BufReader::new(File::open(file)?))?;
        for table in model.table_names() {
            assert!(!model.table(table).is_empty(), "the generator made no rows for {table}");
            let differences = diff(model.table(table), &read_table(client, table).await?);
            assert!(differences.is_empty(), "{table}:\n{}", differences.join("\n"));
        }
        // A malformed message may come twice, and then lies twice in the queue: each at least once, byte for byte.
        let letters = client.query("select distinct payload from cdc.dlq order by payload", &[]).await?;
        let letters: Vec<Vec<u8>> = letters.iter().map(|row| row.get(0)).collect();
        let mut expected = model.dead_letters().to_vec();
        expected.sort();
        expected.dedup();
        assert!(letters == expected, "{} dead letters, expected {}", letters.len(), expected.len());
        Ok(())
    }
}

fn finish(mut process: Process) -> anyhow::Result<()> {
    let status = process.0.wait()?;
    ensure!(status.success(), "the generator ended with {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn published_events_with_every_fault_end_in_the_rows_of_the_model() -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start().await? else { return Ok(()) };
    let _bridge = pipeline.bridge(&["run"])?;
    let faults = [
        "--drift",
        "0.15",
        "--malformed",
        "0.01",
        "--duplicates",
        "0.05",
        "--out-of-order",
        "0.1",
        "--late",
        "0.02",
    ];
    let (generator, file) = pipeline.publish("20000", &faults)?;
    finish(generator)?;
    let client = pipeline.drained().await?;
    pipeline.assert_rows_match(&client, &file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bridge_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start().await? else { return Ok(()) };
    let mut bridge = pipeline.bridge(&["run"])?;
    let (generator, file) = pipeline.publish("20000", &["--malformed", "0.01"])?;
    for kills in 1..=3_u64 {
        // Each time when another part of the stream is on its way.
        let deadline = Instant::now() + PATIENCE;
        while pipeline.broker.stats().queues[QUEUE].acked < kills * 4000 {
            ensure!(Instant::now() < deadline, "the bridge acknowledges nothing");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bridge.kill()?;
        bridge = pipeline.bridge(&["run"])?;
    }
    finish(generator)?;
    let client = pipeline.drained().await?;
    pipeline.assert_rows_match(&client, &file).await
}
