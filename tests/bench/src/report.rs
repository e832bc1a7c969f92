//! The table.

use std::fmt::Write as _;

use crate::flow::FlowReading;
use crate::json::Results;
use crate::measure::Measure;
use crate::round::Round;
use crate::statistics::Summary;
use crate::stopwatch::Reading;
use crate::target::{Bound, Verdict, rate_ratio};

const MIB: f64 = 1024.0 * 1024.0;

const NOTHING: &str = "-";

/// What the columns mean.
const NOTES: &str = "
events/s, longest batch and WAL are medians of the rounds, memory is the peak of all.
to COPY, to SQL: ratio of the rates to raw COPY, and to the SQL pipeline's apply alone in the same batches; the median of
those of each round. WAL: of the whole server, after a checkpoint. memory: of the working process, without shared memory.
";

/// The processes of the second table, from the source to the tables.
const PROCESSES: [&str; 5] = ["generator", "broker", "bridge", "session", "apply worker"];

const FLOW_NOTES: &str = "
ms: from the sending of a message to the commit of what it changed, after a warm-up; upper bounds, at most a fifth too
high. in queue, in inbox: the most messages that lay there. drain: from the last message sent until all were applied. s/M:
processor time for a million messages; session is the server's process that the bridge writes to. MiB: peak of all
rounds without shared memory.
";

/// Measures and targets, as Markdown.
pub(crate) fn of(results: &Results, measures: &[&Measure]) -> String {
    let mut rows = vec![
        [
            "measure",
            "events/s",
            "min",
            "max",
            "to COPY",
            "to SQL",
            "longest batch ms",
            "WAL B/event",
            "memory MiB",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(measures.iter().map(|measure| row(measure, &results.rounds)));
    let mut text = markdown(&rows) + NOTES;
    text.push_str(&flows(&results.rounds, measures));
    if !results.targets.is_empty() {
        let titles = ["target", "bound", "median", "min", "max", ""].map(str::to_owned).to_vec();
        let verdicts = results.targets.iter().map(verdict_row);
        let _ = write!(text, "\n{}", markdown(&[titles].into_iter().chain(verdicts).collect::<Vec<_>>()));
    }
    text
}

fn row(measure: &Measure, rounds: &[Round]) -> Vec<String> {
    let of_readings = |value: &dyn Fn(&Reading) -> Option<f64>| {
        Summary::of(rounds.iter().filter_map(|round| value(round.get(measure.name)?)))
    };
    let ratio_to = |other: &str| {
        let ratios = rounds.iter().filter_map(|round| rate_ratio(round, measure.name, other));
        Summary::of(ratios).filter(|_| measure.is_of_a_rate())
    };
    let rate = of_readings(&|reading| Some(reading.events_per_second()));
    let rate_text = |choose: fn(Summary) -> f64| rate.map_or(NOTHING.to_owned(), |rate| number(choose(rate)));
    let median = |summary: Option<Summary>, decimals| {
        summary.map_or(NOTHING.to_owned(), |summary| format!("{:.decimals$}", summary.median))
    };
    vec![
        measure.title.to_owned(),
        rate_text(|rate| rate.median),
        rate_text(|rate| rate.min),
        rate_text(|rate| rate.max),
        median(ratio_to("copy"), 3),
        median(ratio_to(sql_counterpart(measure.name)), 2),
        median(of_readings(&|reading| reading.slowest_batch_ms), 0),
        median(of_readings(&Reading::wal_bytes_per_event), 0),
        of_readings(&|reading| reading.private_bytes.map(|bytes| bytes as f64 / MIB))
            .map_or(NOTHING.to_owned(), |peak| format!("{:.0}", peak.max)),
    ]
}

/// Measures of broker, bridge and worker together: how long messages took, and what each process had and did.
fn flows(rounds: &[Round], measures: &[&Measure]) -> String {
    let titles = ["measure", "sent/s", "p50 ms", "p99 ms", "max ms", "in queue", "in inbox", "drain s"];
    let works = PROCESSES.map(|process| format!("{process} s/M"));
    let memories = PROCESSES.map(|process| format!("{process} MiB"));
    let mut rows =
        vec![titles.map(str::to_owned).into_iter().chain(works).chain(memories).collect::<Vec<_>>()];
    let of_flow = |measure: &Measure, rounds: &[Round]| {
        let has_flow = |round: &Round| round.get(measure.name).is_some_and(|reading| reading.flow.is_some());
        rounds.iter().any(has_flow)
    };
    rows.extend(
        measures.iter().filter(|measure| of_flow(measure, rounds)).map(|measure| flow_row(measure, rounds)),
    );
    if rows.len() == 1 { String::new() } else { format!("\n{}{FLOW_NOTES}", markdown(&rows)) }
}

fn flow_row(measure: &Measure, rounds: &[Round]) -> Vec<String> {
    let readings = || {
        let taken = rounds.iter().filter_map(|round| round.get(measure.name));
        taken.filter_map(|reading| Some((reading.events as f64, reading.flow.as_ref()?)))
    };
    let summary = |value: &dyn Fn(&FlowReading) -> Option<f64>| {
        Summary::of(readings().filter_map(|(_, flow)| value(flow)))
    };
    let median = |value: &dyn Fn(&FlowReading) -> Option<f64>| {
        summary(value).map_or(NOTHING.to_owned(), |summary| number(summary.median))
    };
    let deepest = |value: &dyn Fn(&FlowReading) -> Option<u64>| {
        let depth = readings().filter_map(|(_, flow)| value(flow)).max();
        depth.map_or(NOTHING.to_owned(), |depth| grouped(&depth.to_string()))
    };
    let work = |process: &str| {
        let seconds = readings().filter_map(|(events, flow)| {
            Some(flow.processes.get(process)?.processor_seconds / events * 1_000_000.0)
        });
        Summary::of(seconds).map_or(NOTHING.to_owned(), |summary| number(summary.median))
    };
    let memory = |process: &str| {
        summary(&|flow| Some(flow.processes.get(process)?.private_bytes as f64 / MIB))
            .map_or(NOTHING.to_owned(), |summary| format!("{:.0}", summary.max))
    };
    let figures = [
        measure.title.to_owned(),
        median(&|flow| flow.sent_per_second),
        median(&|flow| Some(flow.latency?.p50_ms)),
        median(&|flow| Some(flow.latency?.p99_ms)),
        median(&|flow| Some(flow.latency?.max_ms)),
        deepest(&|flow| Some(flow.deepest_queue)),
        deepest(&|flow| flow.deepest_inbox),
        median(&|flow| flow.drain_seconds),
    ];
    figures.into_iter().chain(PROCESSES.map(work)).chain(PROCESSES.map(memory)).collect()
}

/// The hand-written pipeline's apply in the same batches.
fn sql_counterpart(measure: &str) -> &'static str {
    if measure.ends_with("_1000") { "sql_apply_1000" } else { "sql_apply_10000" }
}

fn verdict_row(verdict: &Verdict) -> Vec<String> {
    let bound = match verdict.bound {
        Bound::AtLeast(bound) => format!("≥ {bound}"),
        Bound::AtMost(bound) | Bound::Limit(bound) => format!("≤ {bound}"),
    };
    let Summary { median, min, max } = verdict.found;
    let [median, min, max] = [median, min, max].map(|value| format!("{value:.2}"));
    let outcome = if verdict.is_met { "met" } else { "missed" };
    vec![verdict.name.to_owned(), bound, median, min, max, outcome.to_owned()]
}

/// A rate: whole, with a comma between thousands, or with a decimal where it is small.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    grouped(&format!("{value:.0}"))
}

/// Digits with a comma between thousands.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table whose columns stand below each other in plain text, too: names to the left, figures to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (dashes, end) = ("-".repeat(width + 1), if column == 0 { '-' } else { ':' });
                let _ = write!(text, "|{dashes}{end}");
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_grouped() {
        assert_eq!(["0", "37", "280237"].map(grouped), ["0", "37", "280,237"]);
        assert_eq!([7.25, 999.6, 36_200.4, 1_420_000.0].map(number), ["7.2", "1,000", "36,200", "1,420,000"]);
    }

    #[test]
    fn a_measure_is_compared_with_sql_in_the_same_batches() {
        assert_eq!(sql_counterpart("apply_1000"), "sql_apply_1000");
        assert_eq!(sql_counterpart("apply_10000"), "sql_apply_10000");
        assert_eq!(sql_counterpart("many_sources"), "sql_apply_10000");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["way", "rate"], ["≥ COPY", "1"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(markdown(&rows), "| way    | rate |\n|--------|-----:|\n| ≥ COPY |    1 |\n");
    }
}
