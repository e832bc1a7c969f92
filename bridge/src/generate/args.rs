//! The command line of `cdc-bridge generate`.

use std::path::PathBuf;

use clap::Args;

use super::delivery::Faults;

/// Publishes simulated Debezium events of an Oracle web shop.
///
/// Guaranteed messages go to `PREFIX/SCHEMA/TABLE/OPERATION`, or with `--output` to a file that `replay` reads.
/// Ends after `--count` changes, after `--duration` seconds or on SIGTERM, and prints a summary.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// Changes per minute, evenly spaced; 0 is as fast as possible. Faulty extra messages come on top
    #[arg(long, value_name = "EVENTS_PER_MINUTE", default_value_t = 5000)]
    pub rate: u32,

    /// Stop after this many changes
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,

    /// Seed of the simulation; the same seed gives the same changes. Chosen and printed if absent
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Schema of the source tables
    #[arg(long, value_name = "SCHEMA", default_value = "SALES")]
    pub schema: String,

    /// First levels of every topic
    #[arg(long, value_name = "TOPIC", default_value = "cdc/oracle")]
    pub topic_prefix: String,

    /// Share of inserted orders that carry columns unknown to the ODS (0 to 1; real feeds: about 0.15)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub drift: f64,

    /// Share of changes followed by an extra message that cannot be read (0 to 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub malformed: f64,

    /// Share of changes sent twice, the second time soon or much later (0 to 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub duplicates: f64,

    /// Share of changes that some of their next neighbours overtake (0 to 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub out_of_order: f64,

    /// Share of changes delivered up to 5,000 changes later (0 to 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub late: f64,

    /// Write NDJSON to this file, or to standard output with `-`, and use no broker
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub output: Option<PathBuf>,

    /// Publish, and also write to this file what was published, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Print one line of counts a second
    #[arg(long)]
    pub progress: bool,
}

impl GenerateArgs {
    pub(super) fn faults(&self) -> Faults {
        Faults {
            malformed: self.malformed,
            duplicates: self.duplicates,
            out_of_order: self.out_of_order,
            late: self.late,
        }
    }
}

/// Parses a share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("{text} is not between 0 and 1")) }
}
