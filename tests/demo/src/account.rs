//! The account at the end: what each piece counted, and whether it agrees.

use std::fmt;
use std::time::Duration;

use harness::broker::BrokerStats;
use harness::generator::Summary;
use harness::histogram::Histogram;

use crate::amount::{grouped, millis, per_second};
use crate::database::{TableRows, Totals, Worker};
use crate::derived::{Differences, Enriched, Outbox};

/// What the pieces counted, asked when the generator had ended and nothing was under way any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) generator: Summary,
    pub(crate) broker: BrokerStats,
    pub(crate) database: Totals,
    pub(crate) worker: Worker,
    pub(crate) latency: Histogram,
    /// Counted, not estimated.
    pub(crate) rows: Vec<TableRows>,
    /// Counted, not estimated.
    pub(crate) enriched: Enriched,
    /// Orders that an alert must have told of.
    pub(crate) due_alerts: u64,
    /// Alerts, as the database has sent them.
    pub(crate) outbox: Outbox,
    /// Different alerts that the receiver has got.
    pub(crate) received: u64,
    /// None if the user did not want to wait for the comparison.
    pub(crate) differences: Option<Differences>,
    pub(crate) published_for: Duration,
    /// From the start of publishing until everything was applied.
    pub(crate) took: Duration,
}

impl Account {
    /// Whether the sums hold: no message and no alert is lost, and what is derived is right.
    pub(crate) fn agrees(&self) -> bool {
        self.disagreements().is_empty()
    }

    /// Messages applied to ODS tables. Those that changed nothing are among them: repeated, or older than the row.
    fn applied(&self) -> u64 {
        self.database.settled.saturating_sub(self.database.dead_lettered)
    }

    /// Messages that the inbox got twice, as it may happen when a connection is lost before an acknowledgement.
    fn repeated(&self) -> u64 {
        self.database.staged.saturating_sub(self.broker.queue.enqueued)
    }

    /// What does not agree, piece by piece along the way of the messages.
    fn disagreements(&self) -> Vec<String> {
        let Self { generator, broker: BrokerStats { whole, queue }, database, .. } = self;
        let mut found = Vec::new();
        let mut equal = |what: &str, left: u64, right: u64| {
            if left != right {
                found.push(format!("{what}: {} and {}", grouped(left), grouped(right)));
            }
        };
        equal(
            "published, and acknowledged or refused",
            generator.published,
            generator.acked + generator.rejected,
        );
        equal("acknowledged to the generator, and taken by the broker", generator.acked, whole.published);
        equal("taken by the broker, and put into the queue", whole.published, queue.enqueued);
        equal("left in the queue, and nothing", queue.depth, 0);
        equal("in the inbox, and applied or dead letters", database.staged, database.settled);
        equal("dead letters counted, and rows of cdc.dlq", database.dead_lettered, database.dead_letters);
        // A message that is delivered again may have been committed the first time; it is applied once.
        let most = queue.enqueued + queue.redelivered;
        if !(queue.enqueued..=most).contains(&database.staged) {
            equal("put into the queue, and in the inbox", queue.enqueued, database.staged);
        }
        equal("alerts sent, and received", self.outbox.delivered, self.received);
        equal("alerts left in the outbox, and nothing", self.outbox.waiting, 0);
        equal("alerts refused, given up or discarded, and none", self.outbox.lost, 0);
        if self.due_alerts > self.received {
            equal("orders to be told of, and alerts received", self.due_alerts, self.received);
        }
        if let Some(differences) = self.differences {
            equal("differences of cdc_orders_enriched, and none", differences.enriched, 0);
            equal("differences of cdc_order_aggregations, and none", differences.windows, 0);
        }
        found
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, number: u64, note: &str| {
            writeln!(f, "{}", format!("{name:<13}{:>13}   {note}", grouped(number)).trim_end())
        };
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        line(f, "published", self.generator.published, &format!("in {}", seconds(self.published_for)))?;
        if self.generator.rejected > 0 {
            line(f, "refused", self.generator.rejected, "by the broker, whose spool was full")?;
        }
        line(f, "staged", self.database.staged, "")?;
        let mean = self.database.settled as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        line(
            f,
            "applied",
            self.applied(),
            &format!("in {}, {} in all", seconds(self.took), per_second(mean)),
        )?;
        line(f, "dead letters", self.database.dead_letters, "")?;
        for table in &self.rows {
            line(f, "rows", table.rows, &table.table)?;
        }
        line(
            f,
            "enriched",
            self.enriched.rows,
            &format!("orders, {} of them complete", grouped(self.enriched.complete)),
        )?;
        match self.differences {
            Some(Differences { enriched, windows }) => {
                line(f, "differences", enriched + windows, "from orders and windows made from scratch")?;
            }
            None => writeln!(f, "differences  not looked for")?,
        }
        line(f, "alerts", self.outbox.delivered, &format!("sent, {} received", grouped(self.received)))?;
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| millis(self.latency.percentile(share)));
        writeln!(f, "latency      p50 {p50}, p99 {p99}, max {max} from sending to commit")?;
        if self.worker.restarts > 0 {
            let error = self.worker.last_error.as_deref().unwrap_or("no reason given");
            writeln!(f, "the apply worker was started again {} times: {error}", self.worker.restarts)?;
        }
        let disagreements = self.disagreements();
        if disagreements.is_empty() {
            let repeated = match self.repeated() {
                0 => String::new(),
                repeated => format!(" + {} delivered twice", grouped(repeated)),
            };
            return write!(
                f,
                "nothing is lost: {} sent{repeated} = {} applied + {} dead letters",
                grouped(self.generator.acked),
                grouped(self.applied()),
                grouped(self.database.dead_letters)
            );
        }
        write!(f, "THE ACCOUNT DOES NOT BALANCE:")?;
        disagreements.iter().try_for_each(|text| write!(f, "\n- {text}"))
    }
}

#[cfg(test)]
mod tests {
    use harness::broker::{QueueStats, Stats};
    use harness::histogram::Bucket;

    use super::*;

    /// A run in which all is well.
    fn account() -> Account {
        Account {
            generator: Summary { published: 5010, acked: 5010, rejected: 0 },
            broker: BrokerStats {
                whole: Stats { published: 5010, ..Stats::default() },
                queue: QueueStats { enqueued: 5010, acked: 5010, ..QueueStats::default() },
            },
            database: Totals { staged: 5010, settled: 5010, dead_lettered: 10, dead_letters: 10 },
            latency: Histogram::new(vec![Bucket { le_ms: 6.4, events: 5010 }]),
            rows: vec![TableRows { table: "public.cdc_orders".to_owned(), rows: 1400 }],
            enriched: Enriched { rows: 1400, complete: 1390 },
            due_alerts: 36,
            outbox: Outbox { waiting: 0, delivered: 38, lost: 0 },
            received: 38,
            differences: Some(Differences { enriched: 0, windows: 0 }),
            published_for: Duration::from_secs(60),
            took: Duration::from_millis(60_120),
            ..Account::default()
        }
    }

    fn assert_disagrees(account: &Account, text: &str) {
        assert!(!account.agrees());
        assert!(account.to_string().contains(text), "{account}");
    }

    #[test]
    fn an_account_that_agrees_says_so() {
        let expected = "\
published            5,010   in 60.0 s
staged               5,010
applied              5,000   in 60.1 s, 83.3/s in all
dead letters            10
rows                 1,400   public.cdc_orders
enriched             1,400   orders, 1,390 of them complete
differences              0   from orders and windows made from scratch
alerts                  38   sent, 38 received
latency      p50 6.4 ms, p99 6.4 ms, max 6.4 ms from sending to commit
nothing is lost: 5,010 sent = 5,000 applied + 10 dead letters";
        assert_eq!(account().to_string(), expected);
        assert!(account().agrees());
    }

    #[test]
    fn a_message_lost_between_queue_and_inbox_is_found() {
        let mut account = account();
        account.database = Totals { staged: 5009, settled: 5009, ..account.database };
        assert_disagrees(&account, "- put into the queue, and in the inbox: 5,010 and 5,009");
    }

    #[test]
    fn only_what_was_delivered_again_may_be_staged_twice() {
        let mut account = account();
        account.database = Totals { staged: 5012, settled: 5012, ..account.database };
        account.broker.queue.redelivered = 1;
        assert_disagrees(&account, "5,010 and 5,012");
        account.broker.queue.redelivered = 2;
        assert!(account.agrees(), "{account}");
        let balance = "5,010 sent + 2 delivered twice = 5,002 applied + 10 dead letters";
        assert!(account.to_string().contains(balance), "{account}");
    }

    #[test]
    fn what_is_left_over_is_found() {
        let mut waiting = account();
        waiting.broker.queue.depth = 3;
        assert_disagrees(&waiting, "left in the queue, and nothing: 3 and 0");
        let mut unapplied = account();
        unapplied.database.settled = 5000;
        assert_disagrees(&unapplied, "in the inbox, and applied or dead letters: 5,010 and 5,000");
        let mut unanswered = account();
        unanswered.generator.published = 5011;
        assert_disagrees(&unanswered, "5,011 and 5,010");
    }

    #[test]
    fn an_alert_that_has_not_come_is_found() {
        assert_disagrees(&Account { received: 37, ..account() }, "- alerts sent, and received: 38 and 37");
        let unsent = Outbox { delivered: 35, ..account().outbox };
        let unsent = Account { outbox: unsent, received: 35, ..account() };
        assert_disagrees(&unsent, "- orders to be told of, and alerts received: 36 and 35");
        let waiting = Outbox { waiting: 2, ..account().outbox };
        assert_disagrees(
            &Account { outbox: waiting, ..account() },
            "left in the outbox, and nothing: 2 and 0",
        );
        let lost = Outbox { lost: 1, ..account().outbox };
        assert_disagrees(&Account { outbox: lost, ..account() }, "or discarded, and none: 1 and 0");
    }

    #[test]
    fn a_wrong_row_is_found() {
        let wrong =
            |enriched, windows| Account { differences: Some(Differences { enriched, windows }), ..account() };
        assert_disagrees(&wrong(1, 0), "- differences of cdc_orders_enriched, and none: 1 and 0");
        assert_disagrees(&wrong(0, 3), "- differences of cdc_order_aggregations, and none: 3 and 0");
    }

    #[test]
    fn a_comparison_that_was_not_waited_for_is_told() {
        let account = Account { differences: None, ..account() };
        assert!(account.agrees());
        assert!(account.to_string().contains("\ndifferences  not looked for\n"), "{account}");
    }

    #[test]
    fn messages_that_the_broker_refused_are_told_and_no_loss() {
        let mut account = account();
        account.generator = Summary { published: 5015, rejected: 5, ..account.generator };
        assert!(account.agrees(), "{account}");
        assert!(account.to_string().contains("refused                  5   by the broker"), "{account}");
    }

    #[test]
    fn a_worker_that_failed_is_told_with_its_error_and_no_loss() {
        let worker =
            Worker { restarts: 2, last_error: Some("out of memory".to_owned()), ..Worker::default() };
        let account = Account { worker, ..account() };
        assert!(account.agrees());
        let remark = "the apply worker was started again 2 times: out of memory";
        assert!(account.to_string().contains(remark), "{account}");
    }
}
