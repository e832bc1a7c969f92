//! The command line of `cdc-bridge`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use cdc_bridge::check::{self, CheckArgs};
use cdc_bridge::config::{Config, settings_help};
use cdc_bridge::generate::{self, GenerateArgs};
use cdc_bridge::logging::{self, LogFormat};
use cdc_bridge::replay::{self, ReplayArgs};
use cdc_bridge::run;
use cdc_bridge::shutdown::{self, Shutdown, ShutdownTrigger};
use cdc_bridge::solace::{Library, OnRejection, Publisher};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long `run` and `replay` may take to end after a signal; less than the 90 s after which service managers kill.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// Exit code after a second signal, or when the grace is over.
const ENDED_AT_ONCE: i32 = 2;

/// Moves change events from Solace queues into pg_cdc_ods.
///
/// The log goes to standard error; RUST_LOG says how much (default: info).
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// TOML file with settings; environment variables win over it
    #[arg(long, value_name = "FILE", env = "CDC_BRIDGE_CONFIG", global = true)]
    config: Option<PathBuf>,

    /// Form of the log
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Moves messages from queues to the inbox until SIGTERM or SIGINT.
    ///
    /// A message is acknowledged to the broker only after its row is committed. With the database or the broker
    /// down, the bridge waits and tries again, for ever. A signal ends it after the batch under way; a second one,
    /// or 30 s, at once: what was not committed is delivered again.
    #[command(after_help = settings_help(&["bridge", "solace", "postgres"]))]
    Run,
    #[command(after_help = settings_help(&["bridge", "solace", "postgres"]))]
    Check(CheckArgs),
    #[command(after_help = settings_help(&["bridge", "postgres"]))]
    Replay(ReplayArgs),
    #[command(after_help = settings_help(&["solace"]))]
    Generate(GenerateArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    let outcome = runtime.block_on(dispatch(cli));
    // A thread that waits for a broker must not hold up the end.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| failure(&error))
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("cdc-bridge: {error:#}");
    ExitCode::FAILURE
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run => {
            let config = Config::load(cli.config.as_deref())?;
            run::run(config, on_signals(Some(SHUTDOWN_GRACE))?).await?;
        }
        Command::Check(args) => {
            let report = check::check(&Config::load(cli.config.as_deref())?).await;
            let text =
                if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_text() };
            print!("{text}");
            return Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Replay(args) => {
            let config = Config::load(cli.config.as_deref())?;
            let counts = replay::replay(&args, &config, on_signals(Some(SHUTDOWN_GRACE))?).await?;
            println!(
                "{} messages in {} batches to stream {}, {} bad lines skipped",
                counts.messages, counts.batches, args.stream, counts.bad_lines
            );
        }
        Command::Generate(args) => generate(&args, cli.config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// To a file, or to the configured broker.
async fn generate(args: &GenerateArgs, config: Option<PathBuf>) -> anyhow::Result<()> {
    // The generator limits the time of its end itself.
    let mut shutdown = on_signals(None)?;
    let stop = async move { shutdown.requested().await };
    if let Some(output) = &args.output {
        return Ok(generate::to_file(args, output.clone(), stop).await?);
    }
    let publisher = tokio::task::spawn_blocking(move || -> anyhow::Result<Publisher> {
        let solace = Config::load(config.as_deref())?.solace;
        let library = Library::load(solace.library.as_deref())?;
        Publisher::connect(library, &solace.session, OnRejection::Count).map_err(|error| {
            let hint = error.hint().unwrap_or("see the broker's log");
            anyhow::Error::new(error).context(hint)
        })
    });
    let publisher = publisher.await.context("the connecting thread failed")??;
    Ok(generate::to_broker(args, publisher, stop).await?)
}

/// Requests shutdown at the first SIGTERM or SIGINT. Ends the process at the second, or after `grace`.
fn on_signals(grace: Option<Duration>) -> anyhow::Result<Shutdown> {
    let (trigger, shutdown) = shutdown::channel();
    let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(watch_signals(terminate, interrupt, trigger, grace));
    Ok(shutdown)
}

async fn watch_signals(
    mut terminate: Signal,
    mut interrupt: Signal,
    trigger: ShutdownTrigger,
    grace: Option<Duration>,
) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    next().await;
    tracing::info!("asked to stop");
    trigger.trigger();
    let too_late = async {
        match grace {
            Some(grace) => tokio::time::sleep(grace).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = next() => tracing::warn!("asked twice to stop; ending at once"),
        () = too_late => tracing::warn!("stopping takes too long; ending at once"),
    }
    std::process::exit(ENDED_AT_ONCE);
}
