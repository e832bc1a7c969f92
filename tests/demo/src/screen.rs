//! What is shown while the demonstration runs: a full screen, or two lines. Text only; how it gets to a terminal is
//! for [`display`](crate::display).

use std::fmt::{self, Display};
use std::time::Duration;

use harness::histogram::Histogram;

use crate::amount::{clock, grouped, mib, millis, per_second};
use crate::derived::Derived;
use crate::history::{History, Rates, WINDOW};
use crate::rate::Rate;
use crate::sampler::Sample;

/// The titles of the columns of [`View::line`].
pub(crate) const LINE_TITLES: &str =
    " time  published     staged    applied   dead     rate      p50     p99     lag
        enriched   complete     window     orders      revenue   alerts  outbox";

/// Columns that the counts take on the screen; the rows of the tables stand beside them.
const COUNTS_WIDTH: usize = 42;

/// What was asked for; it does not change during a run.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) rate: Rate,
    /// How long to publish, if not until a signal.
    pub(crate) duration: Option<Duration>,
    pub(crate) seed: u64,
    /// The command that looks inside.
    pub(crate) psql: String,
}

/// What the demonstration is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The generator publishes.
    Publishing,
    /// The generator was asked to stop.
    Stopping,
    /// What is under way gets applied.
    Draining,
    /// Enriched orders and windows are made from scratch, and compared.
    Comparing,
}

/// All that a picture of one moment is made of.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) order: &'a Order,
    pub(crate) phase: Phase,
    pub(crate) sample: &'a Sample,
    pub(crate) rates: Rates,
    /// Latencies of the last [`WINDOW`].
    pub(crate) recent: Histogram,
}

impl Display for Order {
    /// Rate, duration and seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rate)?;
        match self.duration {
            Some(duration) => write!(f, " for {} s", duration.as_secs())?,
            None => write!(f, " until Ctrl-C")?,
        }
        write!(f, ", seed {}", self.seed)
    }
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publishing => "publishing",
            Self::Stopping => "stopping the generator",
            Self::Draining => "applying what is under way",
            Self::Comparing => "comparing with what is made from scratch",
        })
    }
}

impl<'a> View<'a> {
    /// The picture of a sample, whose counts are the last in `history`.
    pub(crate) fn new(order: &'a Order, phase: Phase, sample: &'a Sample, history: &History) -> Self {
        Self { order, phase, sample, rates: history.rates(), recent: history.latency() }
    }

    /// A full screen: lines without line breaks, at most 79 columns wide but for the last, which is a command to copy;
    /// with that one wrapped at most 24 lines.
    pub(crate) fn screen(&self) -> Vec<String> {
        let mut lines = vec![
            format!("pg_cdc_ods   {}", self.order),
            format!("{:<13}{}; {}", clock(self.sample.at), self.phase, self.advice()),
            String::new(),
        ];
        lines.extend(beside(&self.counts(), &self.rows()));
        lines.push(String::new());
        lines.extend(self.latencies());
        lines.push(String::new());
        lines.push(self.waiting());
        lines.extend(self.derived());
        lines.push(String::new());
        lines.push(format!("memory, MiB  {}", self.memory()));
        lines.push("look inside".to_owned());
        lines.push(self.order.psql.clone());
        lines
    }

    fn counts(&self) -> Vec<String> {
        let (counts, rates) = (self.sample.counts, self.rates);
        let line =
            |name: &str, total, rate| format!("{name:<13}{:>13}{:>13}", grouped(total), per_second(rate));
        vec![
            format!("{:<13}{:>13}{:>13}", "messages", "total", format!("last {} s", WINDOW.as_secs())),
            line("published", counts.published, rates.published),
            line("staged", counts.staged, rates.staged),
            line("applied", counts.applied, rates.applied),
            line("dead letters", counts.dead_lettered, rates.dead_lettered),
        ]
    }

    fn rows(&self) -> Vec<String> {
        let title = format!("{:>11}   {}", "rows", "table");
        let tables = self.sample.rows.iter();
        let tables = tables.map(|table| format!("{:>11}   {}", grouped(table.rows), table.table));
        std::iter::once(title).chain(tables).collect()
    }

    fn latencies(&self) -> Vec<String> {
        let line = |title: &str, times: &Histogram| {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| millis(times.percentile(share)));
            format!("{title:<13}{p50:>13}{p99:>13}{max:>13}")
        };
        vec![
            format!("{:<13}{:>13}{:>13}{:>13}   sending to commit", "latency", "p50", "p99", "max"),
            line(&format!("last {} s", WINDOW.as_secs()), &self.recent),
            line("whole run", &self.sample.latency),
            format!(
                "{:<13}{:>13}   the newest applied message is behind",
                "lag",
                millis(Some(self.lag_ms()))
            ),
        ]
    }

    fn waiting(&self) -> String {
        format!(
            "{:<13}{} in the queue, {} in the inbox, {} in the outbox",
            "waiting",
            grouped(self.sample.queued),
            grouped(self.sample.counts.pending()),
            grouped(self.sample.derived.outbox.waiting),
        )
    }

    /// What becomes of the rows.
    fn derived(&self) -> [String; 3] {
        let Derived { enriched, newest_window, .. } = &self.sample.derived;
        let received = &self.sample.received;
        let window = newest_window.as_ref().map_or_else(
            || "-".to_owned(),
            |window| {
                let (orders, revenue) = (grouped(window.orders), grouped(window.revenue));
                format!("{}: {orders} orders by category, revenue {revenue}", window.start)
            },
        );
        let last = received.last.as_ref().map_or_else(String::new, |last| format!(", the last {last}"));
        let (rows, complete) = (grouped(enriched.rows), grouped(enriched.complete));
        [
            format!("{:<13}{rows} orders, {complete} of them complete", "enriched"),
            format!("{:<13}{window}", "window"),
            format!("{:<13}{} received{last}", "alerts", grouped(received.alerts)),
        ]
    }

    fn memory(&self) -> String {
        let memory = self.sample.memory;
        let parts = [
            ("bridge", memory.bridge),
            ("apply worker", memory.apply_worker),
            ("broker", memory.broker),
            ("generator", memory.generator),
        ];
        let part =
            |(name, bytes): (&str, Option<u64>)| format!("{name} {}", bytes.map_or("-".to_owned(), mib));
        parts.map(part).join("   ")
    }

    fn advice(&self) -> &'static str {
        match self.phase {
            Phase::Publishing => "Ctrl-C ends it",
            Phase::Stopping | Phase::Draining | Phase::Comparing => "Ctrl-C ends the waiting",
        }
    }

    fn lag_ms(&self) -> f64 {
        self.sample.lag.as_secs_f64() * 1000.0
    }

    /// The same on two lines below [`LINE_TITLES`]; the rate is that of applied messages.
    pub(crate) fn line(&self) -> String {
        let (sample, counts) = (self.sample, self.sample.counts);
        let [p50, p99] = [0.5, 0.99].map(|share| millis(self.recent.percentile(share)));
        let messages = format!(
            "{:>5}{:>11}{:>11}{:>11}{:>7}{:>9}{p50:>9}{p99:>8}{:>8}",
            clock(sample.at),
            grouped(counts.published),
            grouped(counts.staged),
            grouped(counts.applied),
            grouped(counts.dead_lettered),
            per_second(self.rates.applied),
            millis(Some(self.lag_ms())),
        );
        format!("{}\n{}", messages.trim_end(), self.derived_line())
    }

    fn derived_line(&self) -> String {
        let Derived { enriched, newest_window, outbox, .. } = &self.sample.derived;
        let [start, orders, revenue] = newest_window.as_ref().map_or_else(
            || ["-"; 3].map(str::to_owned),
            |window| [window.start.clone(), grouped(window.orders), grouped(window.revenue)],
        );
        format!(
            "{:>16}{:>11}{start:>11}{orders:>11}{revenue:>13}{:>9}{:>8}",
            grouped(enriched.rows),
            grouped(enriched.complete),
            grouped(self.sample.received.alerts),
            grouped(outbox.waiting),
        )
    }
}

/// Puts two blocks of lines side by side.
fn beside(left: &[String], right: &[String]) -> Vec<String> {
    let at = |block: &[String], index| block.get(index).cloned().unwrap_or_default();
    let height = left.len().max(right.len());
    let line = |index| format!("{:<COUNTS_WIDTH$}{}", at(left, index), at(right, index));
    (0..height).map(|index| line(index).trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::histogram::Bucket;
    use serde_json::json;

    use crate::alert_receiver::{LastAlert, Received};
    use crate::database::TableRows;
    use crate::derived::{Enriched, Outbox, Window};
    use crate::history::Counts;
    use crate::sampler::Memory;

    const MIB: u64 = 1024 * 1024;

    fn order() -> Order {
        let psql = "psql -h /run/x -p 5433 -U postgres postgres".to_owned();
        Order { rate: "5000".parse().unwrap(), duration: Some(Duration::from_secs(60)), seed: 7, psql }
    }

    fn high_value(order: i64) -> Option<LastAlert> {
        LastAlert::of(&json!({"notification_type": "HIGH_VALUE_ORDER", "payload": {"order_id": order}}))
    }

    fn sample() -> Sample {
        let rows = |table: &str, rows| TableRows { table: table.to_owned(), rows };
        Sample {
            at: Duration::from_secs(34),
            counts: Counts { published: 2900, staged: 2899, applied: 2880, dead_lettered: 15 },
            queued: 1,
            lag: Duration::from_millis(12),
            latency: Histogram::new(vec![
                Bucket { le_ms: 6.4, events: 99 },
                Bucket { le_ms: 152.2, events: 1 },
            ]),
            rows: vec![rows("public.cdc_orders", 1160), rows("public.cdc_products", 25)],
            derived: Derived {
                enriched: Enriched { rows: 1158, complete: 1120 },
                newest_window: Some(Window { start: "10:05".to_owned(), orders: 2315, revenue: 987_654 }),
                to_enrich: 0,
                outbox: Outbox { waiting: 1, delivered: 16, lost: 0 },
            },
            received: Received { alerts: 17, last: high_value(1144) },
            memory: Memory {
                bridge: Some(31 * MIB),
                apply_worker: Some(20 * MIB),
                broker: None,
                generator: Some(9 * MIB),
            },
            ..Sample::default()
        }
    }

    fn view<'a>(order: &'a Order, sample: &'a Sample) -> View<'a> {
        let rates = Rates { published: 83.3, staged: 83.3, applied: 82.9, dead_lettered: 0.4 };
        let recent = Histogram::new(vec![Bucket { le_ms: 6.4, events: 800 }]);
        View { order, phase: Phase::Publishing, sample, rates, recent }
    }

    #[test]
    fn the_screen_shows_the_way_of_the_messages_from_top_to_bottom() {
        let expected = "\
pg_cdc_ods   5,000 events a minute for 60 s, seed 7
0:34         publishing; Ctrl-C ends it

messages             total    last 10 s          rows   table
published            2,900       83.3/s         1,160   public.cdc_orders
staged               2,899       83.3/s            25   public.cdc_products
applied              2,880       82.9/s
dead letters            15        0.4/s

latency                p50          p99          max   sending to commit
last 10 s           6.4 ms       6.4 ms       6.4 ms
whole run           6.4 ms       6.4 ms       152 ms
lag                12.0 ms   the newest applied message is behind

waiting      1 in the queue, 4 in the inbox, 1 in the outbox
enriched     1,158 orders, 1,120 of them complete
window       10:05: 2,315 orders by category, revenue 987,654
alerts       17 received, the last HIGH_VALUE_ORDER of order 1144

memory, MiB  bridge 31   apply worker 20   broker -   generator 9
look inside
psql -h /run/x -p 5433 -U postgres postgres";
        assert_eq!(view(&order(), &sample()).screen().join("\n"), expected);
    }

    #[test]
    fn the_screen_fits_a_terminal_of_80_by_24_with_high_numbers_and_a_long_path() {
        let tables = ["audit_log", "customers", "order_items", "orders", "products"];
        let rows = tables.map(|name| TableRows { table: format!("public.cdc_{name}"), rows: 123_456_789 });
        let counts = Counts {
            published: 123_456_789,
            staged: 123_456_789,
            applied: 123_000_000,
            dead_lettered: 456_789,
        };
        let memory = Memory {
            bridge: Some(1000 * MIB),
            apply_worker: Some(1000 * MIB),
            broker: Some(1000 * MIB),
            generator: Some(1000 * MIB),
        };
        let newest_window =
            Some(Window { start: "10:05".to_owned(), orders: 123_456_789, revenue: 123_456_789_000 });
        let derived = Derived {
            enriched: Enriched { rows: 123_456_789, complete: 123_456_789 },
            newest_window,
            outbox: Outbox { waiting: 100_000, ..Outbox::default() },
            ..Derived::default()
        };
        let received = Received { alerts: 123_456_789, last: high_value(123_456_789) };
        let queued = 1_000_000;
        let sample = Sample { counts, memory, rows: rows.into(), derived, received, queued, ..sample() };
        // The longest that a socket's folder may be.
        let psql = format!("psql -h /{} -p 54321 -U postgres postgres", "x".repeat(90));
        let order = Order { rate: u32::MAX.to_string().parse().unwrap(), seed: 65535, psql, ..order() };
        let screen = View { phase: Phase::Comparing, ..view(&order, &sample) }.screen();
        let (command, others) = screen.split_last().unwrap();
        assert!(others.len() + command.len().div_ceil(80) <= 24, "{screen:#?}");
        assert!(others.iter().all(|line| line.len() < 80), "{screen:#?}");
    }

    #[test]
    fn lines_have_their_numbers_below_the_titles() {
        let (order, sample) = (order(), sample());
        let expected = " 0:34      2,900      2,899      2,880     15   82.9/s   6.4 ms  6.4 ms 12.0 ms
           1,158      1,120      10:05      2,315      987,654       17       1";
        assert_eq!(view(&order, &sample).line(), expected);
        let widths = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
        assert_eq!(widths(LINE_TITLES), widths(expected));
        assert!(widths(expected).iter().all(|&width| width < 80));
    }

    #[test]
    fn before_the_first_event_there_are_no_times() {
        let (order, sample) = (order(), Sample::default());
        let view = View { recent: Histogram::default(), ..view(&order, &sample) };
        let line = view.line();
        let (messages, derived) = line.split_once('\n').unwrap();
        assert!(messages.ends_with("        -       -  0.0 ms"), "{messages}");
        assert_eq!(derived.split_whitespace().collect::<Vec<_>>(), ["0", "0", "-", "-", "-", "0", "0"]);
    }

    #[test]
    fn what_was_ordered_is_said_in_words() {
        let endless = Order { rate: Rate::Unlimited, duration: None, ..order() };
        assert_eq!(endless.to_string(), "as many events as go until Ctrl-C, seed 7");
    }
}
