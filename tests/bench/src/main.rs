//! `cdc-bench`: measures the extension, the hand-written SQL that it replaces, and PostgreSQL's own limits, in one run on
//! one machine.
//!
//! ```text
//! generator ──► corpus ──► rounds of measures ──► readings ──► summary ──► table, JSON
//!                                │                               ▲
//!                     private PostgreSQL (server)             targets
//! ```
//!
//! Every measure is taken once a round, in turns, so that what else happens on the machine meets all of them. Ratios
//! compare measures of the same round. `make bench` builds what is needed and runs this.

mod args;
mod bench;
mod copy;
mod corpus;
mod event;
mod flow;
mod json;
mod machine;
mod measure;
mod memory;
mod report;
mod round;
mod server;
mod statistics;
mod stopwatch;
mod target;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use tokio::select;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match run_until_stopped(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends early on Ctrl-C and SIGTERM, in order: servers are stopped, and their folders removed, which may be large.
async fn run_until_stopped(args: &Args) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    select! {
        outcome = bench::run(args) => outcome,
        _ = ctrl_c() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    }
}
