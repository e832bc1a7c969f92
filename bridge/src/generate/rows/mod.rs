//! The rows of the source tables: how they are born, change, and look in an event.

mod audit_entry;
mod customer;
mod order;
mod order_item;
mod product;
mod shipping_info;

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(super) use audit_entry::AuditEntry;
pub(super) use customer::Customer;
pub(super) use order::Order;
pub(super) use order_item::OrderItem;
pub(super) use product::Product;

use super::json_writer::JsonWriter;
use super::table::{Operation, Table};
use super::unix_micros::UnixMicros;

/// Rows remembered per table: only these are updated and deleted, so that memory stays bounded (about 10 MB in
/// all) however long the run.
const REMEMBERED_ROWS: usize = 10_000;

/// Share of updates whose `before` is an empty object, as captured without full supplemental logging.
const EMPTY_BEFORE: f64 = 0.3;

/// Share of deletes whose key was never inserted.
const DELETE_OF_UNKNOWN_KEY: f64 = 0.1;

/// How far ahead of the last key a delete of a key never inserted may lie. The key may be inserted later on.
const UNKNOWN_KEY_DISTANCE: i64 = 1_000;

/// What a row takes from outside itself when it is born or changes.
pub(super) struct Circumstances<'a> {
    /// The randomness of the simulation.
    pub(super) rng: &'a mut ChaCha8Rng,
    /// When the change happens.
    pub(super) now: UnixMicros,
    /// The highest order key used so far, 0 if none.
    pub(super) last_order_key: i64,
    /// Share of inserted orders that carry drift columns.
    pub(super) drift: f64,
}

/// A row of a source table.
pub(super) trait Row {
    /// The table that the row belongs to.
    const TABLE: Table;

    /// A new row.
    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self;

    /// Changes the row in place, as an update does.
    fn update(&mut self, around: &mut Circumstances<'_>);

    /// Writes the full row image as members of the open object.
    fn write_columns(&self, json: &mut JsonWriter);
}

/// A table under capture: its next key and the rows that can still change.
#[derive(Debug)]
pub(super) struct CapturedTable<R> {
    last_key: i64,
    remembered: VecDeque<R>,
}

impl<R: Row> CapturedTable<R> {
    pub(super) fn new() -> Self {
        Self { last_key: 0, remembered: VecDeque::with_capacity(REMEMBERED_ROWS) }
    }

    /// The highest key inserted so far, 0 if none.
    pub(super) fn last_key(&self) -> i64 {
        self.last_key
    }

    /// Makes one change and writes `before` and `after` into the open object.
    ///
    /// Returns what was really done: while no row is known, an update is an insert.
    pub(super) fn change(
        &mut self,
        operation: Operation,
        around: &mut Circumstances<'_>,
        json: &mut JsonWriter,
    ) -> Operation {
        match operation {
            Operation::Update if !self.remembered.is_empty() => self.update(around, json),
            Operation::Insert | Operation::Update => {
                self.insert(around, json);
                return Operation::Insert;
            }
            Operation::Delete => self.delete(around, json),
        }
        operation
    }

    fn insert(&mut self, around: &mut Circumstances<'_>, json: &mut JsonWriter) {
        self.last_key += 1;
        let row = R::insert(self.last_key, around);
        json.null("before");
        write_image("after", &row, json);
        if self.remembered.len() == REMEMBERED_ROWS {
            self.remembered.pop_front();
        }
        self.remembered.push_back(row);
    }

    fn update(&mut self, around: &mut Circumstances<'_>, json: &mut JsonWriter) {
        let index = around.rng.random_range(0..self.remembered.len());
        let row = &mut self.remembered[index];
        if around.rng.random_bool(EMPTY_BEFORE) {
            json.key("before");
            json.open();
            json.close();
        } else {
            write_image("before", row, json);
        }
        row.update(around);
        write_image("after", row, json);
    }

    fn delete(&mut self, around: &mut Circumstances<'_>, json: &mut JsonWriter) {
        if self.remembered.is_empty() || around.rng.random_bool(DELETE_OF_UNKNOWN_KEY) {
            let key = self.last_key + around.rng.random_range(1..=UNKNOWN_KEY_DISTANCE);
            json.key("before");
            json.open();
            json.integer(R::TABLE.key_column(), key);
            json.close();
        } else {
            let index = around.rng.random_range(0..self.remembered.len());
            // The youngest row takes the place of the removed one: constant time, and age only matters roughly.
            if let Some(row) = self.remembered.swap_remove_back(index) {
                write_image("before", &row, json);
            }
        }
        json.null("after");
    }
}

fn write_image<R: Row>(name: &str, row: &R, json: &mut JsonWriter) {
    json.key(name);
    json.open();
    row.write_columns(json);
    json.close();
}
