//! The command line of `cdc-demo`.

use std::time::Duration;

use clap::Parser;

use crate::rate::Rate;

/// Runs generator, loopback broker, bridge and a private PostgreSQL, and shows what they do.
///
/// Ends after `--duration` seconds, on Ctrl-C or on SIGTERM: publishing stops, what is under way is applied, and an
/// account says whether the numbers of all pieces agree. A second Ctrl-C ends the waiting for what is under way.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Change events a minute; 0 or `max` is as fast as possible
    #[arg(long, value_name = "EVENTS_PER_MINUTE", default_value = "5000")]
    pub(crate) rate: Rate,

    /// Stop publishing after this many seconds; without it at Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,

    /// Seed of the generator; the same seed gives the same changes. Chosen if absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Args {
    /// How long to publish, if not until a signal.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs)
    }

    /// The seed given, or one that is short to type.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| rand::random::<u16>().into())
    }
}
