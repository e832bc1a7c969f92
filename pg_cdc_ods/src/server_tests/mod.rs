//! What the extension does inside a real server. Each file holds tests of one subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aggregates;
mod backlog;
mod dead_letters;
mod decoding;
mod drift;
mod enriched_orders;
mod enrichment;
mod explain;
mod outbox;
mod rights;
mod rows;
mod transactions;
mod xml;

use pgrx::prelude::*;

pub(crate) const ORDERS: &str = "cdc/oracle/SALES/ORDERS/insert";

pub(crate) fn order(op: &str, scn: u64, after: &str) -> String {
    let (before, after) = if op == "d" { (after, "null") } else { ("null", after) };
    format!(
        r#"{{"payload":{{"before":{before},"after":{after},"op":"{op}","ts_ms":1700000000000,
           "source":{{"schema":"SALES","table":"ORDERS","scn":"{scn}","ts_ms":1700000000000}}}}}}"#
    )
}

pub(crate) fn ingest(topic: &str, payload: &str) {
    Spi::get_one_with_args::<i64>("select cdc.ingest($1, $2)", &[topic.into(), payload.into()]).unwrap();
}

pub(crate) fn one<T: FromDatum + IntoDatum>(sql: &str) -> Option<T> {
    Spi::get_one::<T>(sql).unwrap()
}

pub(crate) fn apply() -> i64 {
    one("select events from cdc.apply()").unwrap()
}

/// Keeps other tests out, which use the same names, until the transaction of this one ends.
pub(crate) fn alone() {
    Spi::run("select pg_advisory_xact_lock(1)").unwrap();
}

pub(crate) fn preset() {
    alone();
    Spi::run("select cdc.install_preset('ecommerce')").unwrap();
}

/// What happens to one row of a source, at its place in the history.
pub(crate) struct Happening {
    table: &'static str,
    op: char,
    scn: u32,
    row: &'static str,
}

pub(crate) const fn happening(table: &'static str, op: char, scn: u32, row: &'static str) -> Happening {
    Happening { table, op, scn, row }
}

/// Puts its event into the inbox. Ten seconds pass from one place in the history to the next.
pub(crate) fn tell(happening: &Happening) {
    let Happening { table, op, scn, row } = happening;
    let (before, after) = if *op == 'd' { (*row, "null") } else { ("null", *row) };
    let time = 1_700_000_000_000 + u64::from(*scn) * 10_000;
    let payload = format!(
        r#"{{"op":"{op}","before":{before},"after":{after},"source":{{"scn":"{scn}","ts_ms":{time}}}}}"#
    );
    ingest(&format!("cdc/oracle/SALES/{table}/event"), &payload);
}
