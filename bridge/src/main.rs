//! The command line of `cdc-bridge`.

use std::process::ExitCode;

use cdc_bridge::generate::{self, GenerateArgs};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Moves change events from Solace queues into pg_cdc_ods.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulates Debezium for Oracle: writes change events as NDJSON to a file.
    Generate(GenerateArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Generate(args) => generate(&args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cdc-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let Some(output) = &args.output else {
        anyhow::bail!("this build cannot publish to a broker yet; name a file with --output");
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    };
    Ok(generate::to_file(args, output.clone(), stop).await?)
}
