//! Processes die at any moment, without a word (SIGKILL).

use std::time::Duration;

use e2e::{EVERY_FAULT, PATIENCE, Pipeline, Traffic};
use harness::process::ManagedProcess;
use harness::wait_until;
use nix::errno::Errno;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio_postgres::Client;

/// Messages a second well below what the bridge moves, so that it mostly waits for more, as in production.
const PER_MINUTE: u32 = 90_000;

/// Longest time between two kills: some hit a pipeline at rest, some the recovery from the kill before.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);

/// Any process of the server but the postmaster: a session, the launcher, an apply worker, checkpointer, WAL writer.
const BACKENDS: &str =
    "select pid, backend_type from pg_stat_activity where pid <> pg_backend_pid() order by pid";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Bridge,
    /// One of PostgreSQL's processes. The postmaster then ends all others, and the server recovers as from a crash.
    Backend,
}

/// Plays the kills of one seed.
struct Killer<'a> {
    pipeline: &'a Pipeline,
    rng: ChaCha8Rng,
}

impl Killer<'_> {
    async fn strike(&mut self, victim: Victim, bridge: &mut ManagedProcess) -> anyhow::Result<()> {
        // The moment is random in time, not in what happens: no state of the pipeline is to be safe from it.
        tokio::time::sleep(LONGEST_PAUSE.mul_f64(self.rng.random_range(0.0..1.0))).await;
        match victim {
            Victim::Bridge => {
                bridge.ensure_running()?;
                bridge.kill()?;
                println!("killed the bridge");
                *bridge = self.pipeline.start_bridge()?;
            }
            Victim::Backend => self.kill_a_backend().await?,
        }
        Ok(())
    }

    async fn kill_a_backend(&mut self) -> anyhow::Result<()> {
        let client = self.pipeline.connect().await?;
        loop {
            let backends = client.query(BACKENDS, &[]).await?;
            let chosen = &backends[self.rng.random_range(0..backends.len())];
            let pid = chosen.get(0);
            // It may have ended by itself since, without a trace or with nobody yet who has waited for it.
            match self.pipeline.cluster().kill_backend(pid) {
                Err(error) if error.downcast_ref() == Some(&Errno::ESRCH) => continue,
                outcome => outcome?,
            }
            if crashes(&client, pid).await? {
                println!("killed the {}", chosen.get::<_, String>(1));
                return Ok(());
            }
        }
    }
}

/// Waits until the server has noticed that a process was killed, and ends all sessions: before that it would let the next
/// session in only to end it. False if the process has ended by itself.
async fn crashes(client: &Client, pid: i32) -> anyhow::Result<bool> {
    wait_until(PATIENCE, "the server ends all sessions", async || {
        if client.is_closed() {
            return Ok(Some(true));
        }
        // A session that is being ended does not answer.
        let listed = client.query_opt("select from pg_stat_activity where pid = $1", &[&pid]).await;
        Ok(listed.is_ok_and(|process| process.is_none()).then_some(false))
    })
    .await
}

/// With these victims in a random order, while messages of every fault are published without an end.
async fn publish_and_kill(victims: &[Victim]) -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start().await? else { return Ok(()) };
    let seed = e2e::seed();
    let mut killer = Killer { pipeline: &pipeline, rng: ChaCha8Rng::seed_from_u64(seed) };
    let mut victims = victims.to_vec();
    victims.shuffle(&mut killer.rng);
    let mut bridge = pipeline.start_bridge()?;
    let traffic = Traffic { changes: None, per_minute: PER_MINUTE, seed, faults: &EVERY_FAULT };
    let generator = pipeline.start_generator(&traffic)?;
    for victim in victims {
        killer.strike(victim, &mut bridge).await?;
    }
    let published = generator.stop().await?;
    pipeline.ensure_all_arrives(bridge, &published).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_killed_at_random_moments_loses_and_doubles_nothing() -> anyhow::Result<()> {
    publish_and_kill(&[Victim::Bridge; 6]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_processes_are_killed_at_random_moments_loses_and_doubles_nothing()
-> anyhow::Result<()> {
    publish_and_kill(&[Victim::Backend; 5]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_bridge_and_server_in_any_order_lose_and_double_nothing() -> anyhow::Result<()> {
    publish_and_kill(&[[Victim::Bridge; 4], [Victim::Backend; 4]].concat()).await
}
