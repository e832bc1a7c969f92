//! What the extension has to reach, judged by readings of the same round.

use serde::Serialize;

use crate::flow::Latency;
use crate::round::Round;
use crate::statistics::Summary;

const MIB: f64 = 1024.0 * 1024.0;

/// The readings in which the extension's memory is watched.
const OF_APPLYING: [&str; 11] = [
    "apply_10000",
    "apply_1000",
    "apply_each_10000",
    "apply_each_1000",
    "worker_10000",
    "worker_1000",
    "broker_to_applied",
    "latency_5000",
    "latency_10000",
    "latency_half",
    "overload",
];

/// A bound for a figure of a round.
pub(crate) struct Target {
    name: &'static str,
    bound: Bound,
    /// `None` if the round has not what it takes.
    value: fn(&Round) -> Option<f64>,
}

/// Where a figure has to be. What must be reached is judged by the median; what must not be exceeded by the median, too,
/// except a limit, which no round may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Limit(f64),
}

/// How a target was met.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    pub(crate) bound: Bound,
    pub(crate) found: Summary,
    pub(crate) is_met: bool,
}

/// All targets.
pub(crate) const ALL: &[Target] = &[
    at_least(2.5, "cdc.apply() to SQL apply, 10,000", |round| {
        rate_ratio(round, "apply_10000", "sql_apply_10000")
    }),
    at_least(2.0, "cdc.apply() to SQL apply, 1,000", |round| {
        rate_ratio(round, "apply_1000", "sql_apply_1000")
    }),
    at_least(0.6, "upserts only to the limit, 10,000", |round| {
        rate_ratio(round, "apply_upserts_10000", "unnest_limit_10000")
    }),
    at_least(0.6, "upserts only to the limit, 1,000", |round| {
        rate_ratio(round, "apply_upserts_1000", "unnest_limit_1000")
    }),
    at_least(0.8, "rate over a grown store to an empty one", |round| {
        rate_ratio(round, "grown_store", "apply_each_10000")
    }),
    at_least(0.9, "rate with 200 sources to 5", |round| {
        rate_ratio(round, "many_sources", "apply_each_10000")
    }),
    at_most(2.0, "longest batch while a hot product changes, to calm", |round| {
        let longest = |name: &str| round.get(name)?.slowest_batch_ms;
        Some(longest("hot_product")? / longest("calm_product")?)
    }),
    limit(256.0, "memory of whoever applies, MiB", memory_of_applying),
    at_most(2.5, "WAL, COPY + apply, to the SQL pipeline's", |round| {
        let wal = |name: &str| round.get(name)?.wal_bytes_per_event();
        Some((wal("inbox_copy")? + wal("apply_10000")?) / wal("sql_copy_apply_10000")?)
    }),
    at_most(150.0, "an XML document of 5 MB, ms", |round| Some(round.get("xml")?.ms_per_event())),
    at_least(0.2, "broker to applied, to raw COPY", |round| rate_ratio(round, "broker_to_applied", "copy")),
    at_most(10.0, "latency at 5,000 a minute, p50 ms", |round| Some(latency(round, "latency_5000")?.p50_ms)),
    at_most(50.0, "latency at 5,000 a minute, p99 ms", |round| Some(latency(round, "latency_5000")?.p99_ms)),
    at_most(10.0, "latency at 10,000 a minute, p50 ms", |round| {
        Some(latency(round, "latency_10000")?.p50_ms)
    }),
    at_most(50.0, "latency at 10,000 a minute, p99 ms", |round| {
        Some(latency(round, "latency_10000")?.p99_ms)
    }),
    at_most(250.0, "latency at half of the highest rate, p99 ms", |round| {
        Some(latency(round, "latency_half")?.p99_ms)
    }),
    limit(64.0, "memory of the bridge, MiB", memory_of_bridge),
    at_least(5000.0, "push in batches, documents/s", |round| {
        Some(round.get("push_batches")?.events_per_second())
    }),
    at_least(2000.0, "push singly, documents/s", |round| Some(round.get("push_singly")?.events_per_second())),
];

const fn at_least(bound: f64, name: &'static str, value: fn(&Round) -> Option<f64>) -> Target {
    Target { name, bound: Bound::AtLeast(bound), value }
}

const fn at_most(bound: f64, name: &'static str, value: fn(&Round) -> Option<f64>) -> Target {
    Target { name, bound: Bound::AtMost(bound), value }
}

const fn limit(bound: f64, name: &'static str, value: fn(&Round) -> Option<f64>) -> Target {
    Target { name, bound: Bound::Limit(bound), value }
}

/// How much faster one measure is than another.
pub(crate) fn rate_ratio(round: &Round, measure: &str, other: &str) -> Option<f64> {
    Some(round.get(measure)?.events_per_second() / round.get(other)?.events_per_second())
}

fn latency(round: &Round, measure: &str) -> Option<Latency> {
    round.get(measure)?.flow.as_ref()?.latency
}

/// The most that the bridge had in any measure.
fn memory_of_bridge(round: &Round) -> Option<f64> {
    let bridges = round.values().filter_map(|reading| reading.flow.as_ref()?.processes.get("bridge"));
    Some(bridges.map(|bridge| bridge.private_bytes).max()? as f64 / MIB)
}

fn memory_of_applying(round: &Round) -> Option<f64> {
    let peak = OF_APPLYING.iter().filter_map(|name| round.get(name)?.private_bytes).max()?;
    Some(peak as f64 / MIB)
}

impl Target {
    /// `None` if no round has what it takes.
    pub(crate) fn verdict(&self, rounds: &[Round]) -> Option<Verdict> {
        let found = Summary::of(rounds.iter().filter_map(self.value))?;
        Some(Verdict { name: self.name, bound: self.bound, found, is_met: self.bound.is_met(found) })
    }
}

impl Bound {
    fn is_met(self, found: Summary) -> bool {
        match self {
            Self::AtLeast(bound) => found.median >= bound,
            Self::AtMost(bound) => found.median <= bound,
            Self::Limit(bound) => found.max <= bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flow::{FlowReading, ProcessReading};
    use crate::measure;
    use crate::stopwatch::Reading;

    fn round(apply: f64, sql: f64) -> Round {
        let reading =
            |seconds| Reading { events: 100, seconds, private_bytes: Some(10 << 20), ..Reading::default() };
        Round::from([("apply_10000", reading(apply)), ("sql_apply_10000", reading(sql))])
    }

    fn verdicts(rounds: &[Round]) -> Vec<Verdict> {
        ALL.iter().filter_map(|target| target.verdict(rounds)).collect()
    }

    #[test]
    fn ratios_are_of_one_round_and_the_median_counts() {
        let verdicts = verdicts(&[round(1.0, 3.0), round(1.0, 2.0), round(2.0, 6.0)]);
        assert_eq!(verdicts[0].found, Summary { median: 3.0, min: 2.0, max: 3.0 });
        assert!(verdicts[0].is_met);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let names: Vec<&str> = verdicts(&[round(1.0, 1.0)]).iter().map(|verdict| verdict.name).collect();
        assert_eq!(names, ["cdc.apply() to SQL apply, 10,000", "memory of whoever applies, MiB"]);
        assert!(verdicts(&[]).is_empty());
    }

    #[test]
    fn no_round_may_exceed_a_limit() {
        let found = Summary { median: 1.0, min: 1.0, max: 3.0 };
        assert!(Bound::AtMost(2.0).is_met(found) && !Bound::Limit(2.0).is_met(found));
    }

    #[test]
    fn with_every_measure_every_target_is_judged() {
        let reading = || Reading {
            events: 1,
            seconds: 1.0,
            wal_bytes: Some(1),
            private_bytes: Some(1),
            slowest_batch_ms: Some(1.0),
            flow: Some(FlowReading {
                latency: Some(Latency { p50_ms: 1.0, p99_ms: 1.0, max_ms: 1.0 }),
                processes: BTreeMap::from([("bridge", ProcessReading::default())]),
                ..FlowReading::default()
            }),
        };
        let round: Round = measure::ALL.iter().map(|measure| (measure.name, reading())).collect();
        assert_eq!(verdicts(&[round]).len(), ALL.len());
    }
}
