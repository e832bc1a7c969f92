//! The simulated source: an endless, seeded stream of changes. It does no I/O and reads no clock.

use std::sync::Arc;

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::json_writer::JsonWriter;
use super::rows::{AuditEntry, CapturedTable, Circumstances, Customer, Order, OrderItem, Product};
use super::table::{Operation, Table};
use super::unix_micros::UnixMicros;

/// System change numbers per microsecond of the clock at the start of a run. A later run then has higher numbers
/// than an earlier one, as a restarted source has, as long as it makes fewer than two million changes a second;
/// and the numbers pass 2^53, where a reader that takes them for floating point fails.
const SCN_PER_MICROSECOND: u64 = 10;

/// System change numbers rise by 1 to this with each change.
const MAX_SCN_STEP: u64 = 9;

/// What the `source` block says of Debezium's connector and of its database.
const VERSION: &str = "2.4.0";
const CONNECTOR: &str = "oracle";
const CONNECTOR_NAME: &str = "oracle-cdc";
pub(super) const DATABASE: &str = "ORCL";

/// What a simulation is made of.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Seed of all randomness.
    pub(crate) seed: u64,
    /// Schema of the tables.
    pub(crate) schema: String,
    /// First levels of every topic.
    pub(crate) topic_prefix: String,
    /// Share of inserted orders that carry drift columns, 0 to 1.
    pub(crate) drift: f64,
}

/// One message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The table that was changed.
    pub(crate) table: Table,
    /// `PREFIX/SCHEMA/TABLE/OPERATION`.
    pub(crate) topic: Arc<str>,
    /// The body: Debezium's envelope as JSON.
    pub(crate) payload: Bytes,
    /// The application message id: the system change number, so that a duplicate has the same.
    pub(crate) message_id: Arc<str>,
}

/// A running simulation.
#[derive(Debug)]
pub(crate) struct Simulator {
    rng: ChaCha8Rng,
    schema: String,
    drift: f64,
    topics: [[Arc<str>; Operation::ALL.len()]; Table::ALL.len()],
    scn: u64,
    orders: CapturedTable<Order>,
    order_items: CapturedTable<OrderItem>,
    customers: CapturedTable<Customer>,
    products: CapturedTable<Product>,
    audit_log: CapturedTable<AuditEntry>,
    json: JsonWriter,
}

impl Simulator {
    /// A simulation with keys from 1 and system change numbers from `started`.
    ///
    /// The same scenario, start and times give the same bytes; with other times only times and numbers of the
    /// events' `source` differ.
    pub(crate) fn new(scenario: &Scenario, started: UnixMicros) -> Self {
        let Scenario { seed, schema, topic_prefix, drift } = scenario;
        let topic = |table: Table, operation: Operation| {
            Arc::from(format!("{topic_prefix}/{schema}/{}/{}", table.name(), operation.topic_level()))
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(*seed),
            schema: schema.clone(),
            drift: *drift,
            topics: Table::ALL.map(|table| Operation::ALL.map(|operation| topic(table, operation))),
            scn: started.0.unsigned_abs() * SCN_PER_MICROSECOND,
            orders: CapturedTable::new(),
            order_items: CapturedTable::new(),
            customers: CapturedTable::new(),
            products: CapturedTable::new(),
            audit_log: CapturedTable::new(),
            json: JsonWriter::default(),
        }
    }

    /// The next change, made at `now`.
    pub(crate) fn next(&mut self, now: UnixMicros) -> Event {
        self.scn += self.rng.random_range(1..=MAX_SCN_STEP);
        let table = Table::pick(&mut self.rng);
        self.json.clear();
        self.json.open();
        self.json.key("payload");
        self.json.open();
        let wanted = Operation::pick(&mut self.rng, table);
        let operation = self.change_row(table, wanted, now);
        self.write_source(table, now);
        self.json.text("op", operation.letter());
        self.json.integer("ts_ms", now.millis());
        self.json.close();
        self.json.close();
        Event {
            table,
            topic: Arc::clone(&self.topics[table as usize][operation as usize]),
            payload: Bytes::copy_from_slice(self.json.as_bytes()),
            message_id: self.scn.to_string().into(),
        }
    }

    fn change_row(&mut self, table: Table, wanted: Operation, now: UnixMicros) -> Operation {
        let last_order_key = self.orders.last_key();
        let around = &mut Circumstances { rng: &mut self.rng, now, last_order_key, drift: self.drift };
        let json = &mut self.json;
        match table {
            Table::Orders => self.orders.change(wanted, around, json),
            Table::OrderItems => self.order_items.change(wanted, around, json),
            Table::Customers => self.customers.change(wanted, around, json),
            Table::Products => self.products.change(wanted, around, json),
            Table::AuditLog => self.audit_log.change(wanted, around, json),
        }
    }

    fn write_source(&mut self, table: Table, now: UnixMicros) {
        let scn = self.scn.to_string();
        let json = &mut self.json;
        json.key("source");
        json.open();
        json.text("version", VERSION);
        json.text("connector", CONNECTOR);
        json.text("name", CONNECTOR_NAME);
        json.integer("ts_ms", now.millis());
        json.text("snapshot", "false");
        json.text("db", DATABASE);
        json.text("schema", &self.schema);
        json.text("table", table.name());
        json.text("txId", &transaction_id(self.scn));
        json.text("scn", &scn);
        json.close();
    }
}

/// A transaction id in Oracle's form, 8 bytes in hexadecimal; every change is a transaction of its own.
fn transaction_id(scn: u64) -> String {
    format!("{scn:016x}")
}

#[cfg(test)]
#[path = "simulator_tests.rs"]
mod tests;
