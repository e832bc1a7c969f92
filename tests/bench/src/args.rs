//! The command line of `cdc-bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use crate::measure::{ALL, Measure};

/// Measures the extension, the hand-written SQL that it replaces, and PostgreSQL's own limits.
///
/// Prints a table and writes all readings as JSON.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Fewer events, rounds and stored rows: done in minutes, to see whether something has changed
    #[arg(long)]
    quick: bool,

    /// Seed of the generator; the same seed gives the same changes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Events of the corpus; 200,000 if absent, 40,000 if quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    events: Option<u64>,

    /// Rounds; 3 if absent, 1 if quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Orders of the grown store; 2,000,000 if absent, 300,000 if quick. They take about 700 bytes of disk each, and
    /// a minute for two million
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stored_orders: Option<u64>,

    /// A Python that has Pathway 0.33; without it that measure is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) pathway_python: Option<PathBuf>,

    /// File for the readings
    #[arg(long, value_name = "FILE", default_value = "target/bench/results.json")]
    pub(crate) output: PathBuf,

    /// Print the names of all measures and end
    #[arg(long)]
    pub(crate) list: bool,

    /// Only these, by name or by the name without its batch: `apply_1000`, or `apply` for all batches. Commas work, too
    #[arg(value_name = "MEASURE", value_delimiter = ',')]
    only: Vec<String>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Extent {
    pub(crate) events: u64,
    pub(crate) rounds: u32,
    /// Orders in the grown store.
    pub(crate) stored_orders: u64,
    /// How long messages are sent at a pace, after a warm-up.
    pub(crate) paced_for: Duration,
    /// Documents that are pushed in batches; fewer singly.
    pub(crate) documents: u64,
    /// Orders that have one product in common.
    pub(crate) orders_of_hot_product: u64,
}

impl Args {
    pub(crate) fn extent(&self) -> Extent {
        let choose = |quick, full| if self.quick { quick } else { full };
        Extent {
            events: self.events.unwrap_or(choose(40_000, 200_000)),
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
            stored_orders: self.stored_orders.unwrap_or(choose(300_000, 2_000_000)),
            paced_for: Duration::from_secs(choose(8, 20)),
            documents: choose(20_000, 100_000),
            orders_of_hot_product: choose(50_000, 1_000_000),
        }
    }

    /// The measures asked for, in their order; all if none is named.
    ///
    /// # Errors
    /// If there is no measure of a name.
    pub(crate) fn measures(&self) -> anyhow::Result<Vec<&'static Measure>> {
        let names: Vec<&str> =
            self.only.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        for name in &names {
            if !ALL.iter().any(|measure| measure.is_called(name)) {
                anyhow::bail!("there is no measure {name}; --list names all");
            }
        }
        let wanted =
            |measure: &&Measure| names.is_empty() || names.iter().any(|name| measure.is_called(name));
        Ok(ALL.iter().filter(wanted).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let args = Args::parse_from([&["cdc-bench"], arguments].concat());
        Ok(args.measures()?.iter().map(|measure| measure.name).collect())
    }

    #[test]
    fn measures_are_named_with_or_without_their_batch() {
        assert_eq!(names(&["apply,copy"]).unwrap(), ["copy", "apply_10000", "apply_1000"]);
        assert_eq!(names(&["apply_1000", "copy"]).unwrap(), ["copy", "apply_1000"]);
        assert_eq!(names(&[""]).unwrap().len(), ALL.len());
    }

    #[test]
    fn an_unknown_measure_is_an_error() {
        assert!(names(&["aply"]).unwrap_err().to_string().contains("there is no measure aply"));
    }

    #[test]
    fn a_quick_run_is_smaller_and_what_is_said_counts() {
        let quick = Args::parse_from(["cdc-bench", "--quick", "--rounds", "2"]).extent();
        assert_eq!((quick.events, quick.rounds, quick.stored_orders), (40_000, 2, 300_000));
    }
}
