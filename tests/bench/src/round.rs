//! Takes every measure in turn, round by round.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use anyhow::Context;

use crate::bench::Bench;
use crate::measure::Measure;
use crate::stopwatch::Reading;

/// The readings of a round by the names of their measures.
pub(crate) type Round = BTreeMap<&'static str, Reading>;

/// Takes the rounds, and says how far it is.
///
/// # Errors
/// As [`Measure::take`], named by the measure.
pub(crate) async fn take_all(bench: &Bench, measures: &[&'static Measure]) -> anyhow::Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for number in 1..=bench.extent.rounds {
        let mut round = Round::new();
        for measure in measures {
            // Whoever watches may have gone; the file is written all the same.
            let _ = write!(io::stderr(), "round {number} of {}: {:<22}", bench.extent.rounds, measure.name);
            let began = Instant::now();
            let reading =
                measure.take(bench, &round).await.with_context(|| format!("measure {}", measure.name))?;
            let _ = writeln!(
                io::stderr(),
                "{:>10.0} events/s {:>8.2} s, {:>6.1} s with all around it",
                reading.events_per_second(),
                reading.seconds,
                began.elapsed().as_secs_f64()
            );
            round.insert(measure.name, reading);
        }
        rounds.push(round);
    }
    Ok(rounds)
}
