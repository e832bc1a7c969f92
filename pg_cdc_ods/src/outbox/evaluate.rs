//! Asks a rule's question about rows, with the rights of the rule's owner.
//!
//! A rule must not harm what it looks at: where its SQL fails, the rows stay written, the failure is noted in
//! `cdc.rule_failures`, and nobody is told of these rows.

use std::ops::Range;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{self, SpiClient};

use super::rules::Question;
use crate::apply::{as_restricted_user, raise_again, sqlstate};
use crate::sql_error::spi_failed;
use crate::subtransaction::{self, Failure};

/// Rows asked about at a time: it bounds the memory for their documents.
const CHUNK_ROWS: i64 = 10_000;
/// Rows for which the SQL may fail before the rest of a chunk is given up. Finding one costs some fifteen queries.
const MOST_FAILURES: u32 = 20;

/// Which rows an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that meet the condition.
    Met,
    /// All.
    All,
}

/// The answer for some rows: their keys, and the payloads of those that meet the condition.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) keys: Vec<Option<String>>,
    pub(super) payloads: Vec<Option<String>>,
    /// Rows asked about.
    rows: i64,
}

/// Where the rows come from that are asked about.
pub(super) struct Source<'s> {
    /// What `from` names, e.g. `new_rows`.
    pub(super) relation: &'s str,
    /// What it names from `$3` on.
    pub(super) arguments: &'s dyn Fn() -> Vec<DatumWithOid<'static>>,
}

impl<'s> Source<'s> {
    /// A relation without arguments.
    pub(super) fn relation(relation: &'s str) -> Self {
        Self { relation, arguments: &Vec::new }
    }
}

/// Asks about all rows of a source; `take` gets the answers, chunk by chunk. False if the SQL failed
/// for some of them.
pub(super) fn ask(
    client: &mut SpiClient<'_>,
    question: &Question,
    source: &Source<'_>,
    wanted: Wanted,
    mut take: impl FnMut(&mut SpiClient<'_>, Answer),
) -> bool {
    if !question.may_read {
        note_failure(client, question, "its owner may not read the table");
        return false;
    }
    let mut failures = 0;
    for chunk in 0.. {
        let rows = chunk * CHUNK_ROWS..(chunk + 1) * CHUNK_ROWS;
        let mut asking = Asking { question, source, wanted, failures: 0 };
        let mut found = 0;
        for answer in asking.ask(client, rows) {
            found += answer.rows;
            if !answer.keys.is_empty() {
                take(client, answer);
            }
        }
        failures += asking.failures;
        if found < CHUNK_ROWS {
            break;
        }
    }
    failures == 0
}

struct Asking<'a> {
    question: &'a Question,
    source: &'a Source<'a>,
    wanted: Wanted,
    failures: u32,
}

impl Asking<'_> {
    /// The answers for a range of rows. Where the SQL fails by the fault of a row, the range is halved until the row
    /// stands alone.
    fn ask(&mut self, client: &mut SpiClient<'_>, rows: Range<i64>) -> Vec<Answer> {
        let failure = match self.try_ask(client, &rows) {
            Ok(answer) => return vec![answer],
            Err(failure) => failure,
        };
        let rows = rows.start..rows.start + self.count(client, &rows);
        let length = rows.end - rows.start;
        let is_of_a_row = matches!(&sqlstate(failure.code)[..2], "22" | "P0");
        if length <= 1 || !is_of_a_row || self.failures >= MOST_FAILURES {
            self.failures += 1;
            note_failure(client, self.question, &failure.message);
            return vec![Answer { rows: length, ..Answer::default() }];
        }
        let middle = rows.start + length / 2;
        let mut answers = self.ask(client, rows.start..middle);
        answers.extend(self.ask(client, middle..rows.end));
        answers
    }

    fn try_ask(&self, client: &mut SpiClient<'_>, rows: &Range<i64>) -> Result<Answer, Failure> {
        let condition = if self.wanted == Wanted::Met { "where q.payload is not null" } else { "" };
        let sql = format!(
            "with changed as (select * from {} offset $1 limit $2) \
             select array_agg(q.key), array_agg(q.payload::text), (select count(*) from changed) from ({}) q {condition}",
            self.source.relation, self.question.query
        );
        let read = |client: &mut SpiClient<'_>| -> spi::Result<Answer> {
            let row = client.update(&sql, Some(1), &self.arguments(rows))?.first();
            Ok(Answer {
                keys: row.get(1)?.unwrap_or_default(),
                payloads: row.get(2)?.unwrap_or_default(),
                rows: row.get(3)?.unwrap_or_default(),
            })
        };
        let owner = self.question.owner;
        let attempt = std::panic::AssertUnwindSafe(|| as_restricted_user(owner, || read(client)));
        match subtransaction::run(move || { attempt }()) {
            Ok(answer) => {
                Ok(answer.unwrap_or_else(|error| spi_failed("cannot read what a rule gives", &error)))
            }
            // Not the rule's fault: the transaction is undone and tried again, as without the rule.
            Err(failure) if !is_fault_of_rule(&failure) => raise_again(&failure),
            Err(failure) => Err(failure),
        }
    }

    fn arguments(&self, rows: &Range<i64>) -> Vec<DatumWithOid<'static>> {
        let mut arguments = vec![rows.start.into(), (rows.end - rows.start).into()];
        arguments.extend((self.source.arguments)());
        arguments
    }

    fn count(&self, client: &mut SpiClient<'_>, rows: &Range<i64>) -> i64 {
        let sql = format!("select count(*) from (select from {} offset $1 limit $2) r", self.source.relation);
        let counted =
            client.update(&sql, Some(1), &self.arguments(rows)).and_then(|row| row.first().get_one());
        counted.unwrap_or_else(|error| spi_failed("cannot count changed rows", &error)).unwrap_or_default()
    }
}

/// Whether an error comes from what the rule says, judged by its SQLSTATE; others come from the server's state.
fn is_fault_of_rule(failure: &Failure) -> bool {
    matches!(
        &sqlstate(failure.code)[..2],
        "0A" | "21" | "22" | "23" | "2F" | "38" | "39" | "42" | "44" | "54" | "P0"
    )
}

const NOTE_FAILURE: &str = "
    insert into cdc.rule_failures as f (kind, rule, last_error) values ($1, $2, $3)
    on conflict (kind, rule) do update
       set failures = f.failures + 1, last_error = excluded.last_error, last_failed_at = excluded.last_failed_at";

fn note_failure(client: &mut SpiClient<'_>, question: &Question, problem: &str) {
    let (kind, rule) = (question.kind, question.rule.as_str());
    warning!("{kind} {rule} failed: {problem}");
    let args = [kind.into(), rule.into(), problem.into()];
    if let Err(error) = client.update(NOTE_FAILURE, None, &args) {
        spi_failed("cannot write cdc.rule_failures", &error);
    }
}
