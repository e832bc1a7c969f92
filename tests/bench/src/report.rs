//! The table.

use std::fmt::Write as _;

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
        Summary::of(ratios).filter(|_| !measure.is_of_single_events())
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
    let digits = format!("{value:.0}");
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
