//! Counts of a run, for the lines of progress and the summary.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::publisher::Answers;
use super::simulator::Event;
use super::table::Table;

/// Counts as they grow, shared by the loop that sends, the sink that learns of answers and the line of progress.
///
/// They are only ever read for display, so that no order between them is needed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    published_by_table: [AtomicU64; Table::ALL.len()],
    acked: AtomicU64,
    rejected: AtomicU64,
}

impl Counters {
    /// A message has been handed over.
    pub(crate) fn published(&self, event: &Event) {
        self.published_by_table[event.table as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The answers have come to this.
    pub(crate) fn answered(&self, answers: Answers) {
        self.acked.store(answers.acked, Ordering::Relaxed);
        self.rejected.store(answers.rejected, Ordering::Relaxed);
    }

    /// The counts of this moment.
    pub(crate) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            published_by_table: self.published_by_table.each_ref().map(read),
            answers: Answers { acked: read(&self.acked), rejected: read(&self.rejected) },
        }
    }
}

/// The counts of one moment. Its text is the summary of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    published_by_table: [u64; Table::ALL.len()],
    answers: Answers,
}

impl Tally {
    /// Messages sent, extra ones among them.
    pub(crate) fn published(&self) -> u64 {
        self.published_by_table.iter().sum()
    }

    /// Messages sent that are neither acknowledged nor refused yet.
    pub(crate) fn unanswered(&self) -> u64 {
        self.published().saturating_sub(self.answers.acked + self.answers.rejected)
    }

    /// One line of progress: counts so far, and the rate since `earlier`, so long ago.
    pub(crate) fn progress(&self, earlier: &Self, since: Duration) -> String {
        let published = self.published() - earlier.published();
        let rate = published as f64 / since.as_secs_f64().max(f64::MIN_POSITIVE);
        format!("{} rate={rate:.0}/s", self.totals())
    }

    fn totals(&self) -> String {
        let Answers { acked, rejected } = self.answers;
        format!("published={} acked={acked} rejected={rejected}", self.published())
    }
}

impl fmt::Display for Tally {
    /// Totals, then messages by table, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.totals())?;
        for (table, count) in Table::ALL.into_iter().zip(self.published_by_table) {
            write!(f, " {}={count}", table.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_totals_and_the_latest_rate() {
        let earlier = Tally { published_by_table: [100, 0, 0, 0, 0], ..Tally::default() };
        let tally =
            Tally { published_by_table: [300, 40, 10, 0, 0], answers: Answers { acked: 340, rejected: 1 } };
        let line = tally.progress(&earlier, Duration::from_millis(500));
        assert_eq!(line, "published=350 acked=340 rejected=1 rate=500/s");
        assert_eq!(tally.unanswered(), 9);
    }

    #[test]
    fn the_summary_names_every_table() {
        let tally = Tally { published_by_table: [2, 0, 0, 0, 1], answers: Answers { acked: 2, rejected: 1 } };
        let expected =
            "published=3 acked=2 rejected=1 ORDERS=2 ORDER_ITEMS=0 CUSTOMERS=0 PRODUCTS=0 AUDIT_LOG=1";
        assert_eq!(tally.to_string(), expected);
    }
}
