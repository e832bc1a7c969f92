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

use clap::Parser;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match bench::run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
