//! `cdc-demo`: runs the whole pipeline from a generator to ODS tables and alerts, and shows it live.
//!
//! ```text
//! generator ──► loopback broker ──► cdc-bridge ──► PostgreSQL with pg_cdc_ods ──► REST receiver     (pieces)
//!                      └───────────────┬───────────────┴──────────────────────────────┘
//!                          sampler ──► history ──► screen ──► display             (once a second)
//!                                                  └────────► account             (at the end)
//! ```
//!
//! `make demo` builds the pieces and runs this.

mod account;
mod alert_receiver;
mod amount;
mod args;
mod database;
mod demonstration;
mod derived;
mod display;
mod failure;
mod history;
mod pieces;
mod rate;
mod sampler;
mod screen;
mod stop_requests;
mod throttle;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    // A terminal or pipe that is gone is no reason to panic: the outcome is still told by the exit code.
    match demonstration::run(&Args::parse()).await {
        Ok(account) => {
            let _ = writeln!(io::stdout(), "\n{account}");
            if account.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = write!(io::stderr(), "{}", failure::report(&error));
            ExitCode::FAILURE
        }
    }
}
