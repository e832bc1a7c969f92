//! Asks a rule's question about rows, with the rights of the rule's owner.
//!
//! A rule must not harm what it looks at: where its SQL fails, the rows stay written, the failure is noted in
//! `cdc.rule_failures`, and nobody is told of these rows.

use std::ops::Range;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{self, SpiClient};

use super::rules::Question;
use crate::apply::{as_restricted_user, parameter, raise_again, sqlstate};
use crate::changed_rows::ChangedRows;
use crate::plan_cache;
use crate::sql_error::spi_failed;
use crate::subtransaction::{self, Failure};

/// Rows asked about at a time: it bounds the memory for their documents.
const CHUNK_ROWS: i64 = 10_000;
/// Rows for which the SQL may fail before the rest of a chunk is given up. Finding one costs some fifteen queries.
const MOST_FAILURES: u32 = 20;

/// Which rows an answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that meet the condition.
    Met,
    /// Those that meet it, and those of these keys.
    MetOr(Vec<String>),
    /// All.
    All,
}

impl Wanted {
    fn condition(&self) -> &'static str {
        match self {
            Self::Met => "where q.payload is not null",
            Self::MetOr(_) => "where q.payload is not null or q.key in (select unnest($3::text[]))",
            Self::All => "",
        }
    }

    fn keys(&self) -> Vec<Option<&str>> {
        match self {
            Self::MetOr(keys) => keys.iter().map(|key| Some(key.as_str())).collect(),
            Self::Met | Self::All => Vec::new(),
        }
    }
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
    relation: &'s str,
    /// What it names from `$4` on.
    arguments: Option<&'s dyn Fn() -> Vec<DatumWithOid<'static>>>,
    /// The change that they are of, and their number.
    changed: Option<(&'s ChangedRows<'s>, i64)>,
}

impl<'s> Source<'s> {
    /// A table or view.
    pub(super) fn relation(relation: &'s str) -> Self {
        Self { relation, arguments: None, changed: None }
    }

    /// A relation made of messages.
    pub(super) fn messages(relation: &'s str, arguments: &'s dyn Fn() -> Vec<DatumWithOid<'static>>) -> Self {
        Self { relation, arguments: Some(arguments), changed: None }
    }

    /// Rows as they are after a change, which have their names.
    pub(super) fn new_rows(rows: &'s ChangedRows<'s>) -> Self {
        Self { relation: "new_rows", arguments: None, changed: Some((rows, rows.new_len())) }
    }

    /// Rows as they were before a change, which have their names.
    pub(super) fn old_rows(rows: &'s ChangedRows<'s>) -> Self {
        Self { relation: "old_rows", arguments: None, changed: Some((rows, rows.old_len())) }
    }
}

/// Asks about all rows of a source; `take` gets the answers, chunk by chunk. False if the SQL failed
/// for some of them.
pub(super) fn ask(
    client: &mut SpiClient<'_>,
    question: &Question,
    source: &Source<'_>,
    wanted: &Wanted,
    mut take: impl FnMut(&mut SpiClient<'_>, Answer),
) -> bool {
    if !question.may_read() {
        note_failure(client, question, "its owner may not read the table");
        return false;
    }
    let mut failures = 0;
    for chunk in 0.. {
        let rows = chunk * CHUNK_ROWS..(chunk + 1) * CHUNK_ROWS;
        let end = rows.end;
        let mut asking = Asking { question, source, wanted, failures: 0 };
        let mut found = 0;
        for answer in asking.ask(client, rows) {
            found += answer.rows;
            if !answer.keys.is_empty() {
                take(client, answer);
            }
        }
        failures += asking.failures;
        if found < CHUNK_ROWS || source.changed.is_some_and(|(_, rows)| rows <= end) {
            break;
        }
    }
    failures == 0
}

struct Asking<'a> {
    question: &'a Question,
    source: &'a Source<'a>,
    wanted: &'a Wanted,
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
        let statement = self.statement(rows);
        let read = |client: &mut SpiClient<'_>| -> spi::Result<Answer> {
            let arguments = self.arguments(rows);
            let Some((changed, _)) = self.source.changed else {
                let row = client.update(&statement, Some(1), &arguments)?.first();
                let (keys, payloads) = (row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default());
                return Ok(Answer { keys, payloads, rows: row.get(3)?.unwrap_or_default() });
            };
            let answered = plan_cache::update_over(client, changed, None, &statement, &arguments)?;
            let Some(row) = answered.iter().next() else { return Ok(Answer::default()) };
            let (keys, payloads) = (row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default());
            Ok(Answer { keys, payloads, rows: self.known_count(rows).unwrap_or_default() })
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

    /// Changed rows, whose number is known, are read once and where they are, unless they are asked about in parts.
    fn statement(&self, rows: &Range<i64>) -> String {
        let (relation, query) = (self.source.relation, &self.question.query);
        let answer = "array_agg(q.key), array_agg(q.payload::text)";
        let condition = self.wanted.condition();
        match self.source.changed {
            Some((_, count)) if *rows == (0..CHUNK_ROWS) && count <= CHUNK_ROWS => {
                format!(
                    "with changed as (select * from {relation}) select {answer} from ({query}) q {condition}"
                )
            }
            Some(_) => format!(
                "with changed as (select * from {relation} offset $1 limit $2) \
                 select {answer} from ({query}) q {condition}"
            ),
            None => format!(
                "with changed as (select * from {relation} offset $1 limit $2) \
                 select {answer}, (select count(*) from changed) from ({query}) q {condition}"
            ),
        }
    }

    fn arguments(&self, rows: &Range<i64>) -> Vec<DatumWithOid<'static>> {
        let keys = parameter("text", self.wanted.keys()).datum;
        let mut arguments = vec![rows.start.into(), (rows.end - rows.start).into(), keys];
        if let Some(more) = self.source.arguments {
            arguments.extend(more());
        }
        arguments
    }

    /// How many rows there are in a range, if that is known.
    fn known_count(&self, rows: &Range<i64>) -> Option<i64> {
        self.source.changed.map(|(_, count)| (count.min(rows.end) - rows.start).max(0))
    }

    fn count(&self, client: &mut SpiClient<'_>, rows: &Range<i64>) -> i64 {
        if let Some(count) = self.known_count(rows) {
            return count;
        }
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
