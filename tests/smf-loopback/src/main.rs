//! `smf-loopback`: the test broker as a process of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use anyhow::Context;
use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;
use smf_loopback::{Broker, Config, Credentials, Exposure, QueueConfig};
use tracing_subscriber::EnvFilter;

/// A small in-memory SMF broker for tests and demos. Nothing in it survives its end.
///
/// Once it listens it prints one line of JSON with its addresses. It ends on SIGTERM, SIGINT, and the
/// control command `quit`.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address for SMF clients; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the control port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Durable queue to begin with, with a topic subscription if given; repeat for more of either
    #[arg(long, value_name = "NAME[=TOPIC_SUBSCRIPTION]")]
    queue: Vec<String>,
    /// Only this user may log in
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// Password of the user
    #[arg(long, requires = "username", env = "SMF_LOOPBACK_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Only this message VPN exists; without it every name is taken
    #[arg(long)]
    vpn: Option<String>,
    /// Bytes of messages that all queues together may hold
    #[arg(long, default_value_t = Config::default().spool_bytes)]
    spool_bytes: u64,
    /// Listen on addresses that are not loopback too: no encryption, and anyone can use the control port
    #[arg(long)]
    allow_remote: bool,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let credentials = args.username.zip(args.password);
        Self {
            listen: args.listen,
            control: args.control,
            exposure: if args.allow_remote { Exposure::AnyAddress } else { Exposure::LoopbackOnly },
            queues: queues(&args.queue),
            credentials: credentials.map(|(username, password)| Credentials { username, password }),
            vpn: args.vpn,
            spool_bytes: args.spool_bytes,
            ..Self::default()
        }
    }
}

/// Brings several subscriptions of one queue together.
fn queues(wanted: &[String]) -> Vec<QueueConfig> {
    let mut queues: Vec<QueueConfig> = Vec::new();
    for text in wanted {
        let (name, subscription) = match text.split_once('=') {
            Some((name, subscription)) => (name, Some(subscription.to_owned())),
            None => (text.as_str(), None),
        };
        match queues.iter_mut().find(|queue| queue.name == name) {
            Some(queue) => queue.subscriptions.extend(subscription),
            None => queues.push(QueueConfig::new(name, subscription)),
        }
    }
    queues
}

fn main() -> anyhow::Result<()> {
    let config = Config::from(Args::parse());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    // Blocked here, before there are other threads, the signals are left for the thread that waits.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("cannot block signals")?;

    let broker = Broker::start(config)?;
    let quit = broker.request_quit();
    thread::spawn(move || {
        let waited = signals.wait();
        tracing::info!(?waited, "stopping");
        quit();
    });
    let addresses =
        json!({ "smf": broker.smf_addr().to_string(), "control": broker.control_addr().to_string() });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{addresses}").and_then(|()| stdout.flush()).context("cannot print the addresses")?;
    drop(stdout);
    broker.wait_for_quit();
    broker.stop();
    Ok(())
}
