//! ORDER_ITEMS: items of recent orders, some of which are deleted by then.

use rand::RngExt;

use super::{Circumstances, Row};
use crate::generate::json_writer::JsonWriter;
use crate::generate::money::Money;
use crate::generate::table::Table;
use crate::generate::unix_micros::UnixMicros;

/// Items name products 1 to this, most of which come later.
pub(super) const PRODUCTS: i64 = 500;

/// Items of one kind in an order: 1 to this.
pub(super) const MAX_QUANTITY: u32 = 10;

/// Least and greatest price of one piece.
pub(super) const UNIT_PRICE: [Money; 2] = [Money::from_whole(10), Money::from_whole(500)];

/// An item belongs to one of the last so many orders.
const RECENT_ORDERS: i64 = 10_000;

/// A row of ORDER_ITEMS.
#[derive(Debug)]
pub(in crate::generate) struct OrderItem {
    key: i64,
    order: i64,
    product: i64,
    quantity: u32,
    unit_price: Money,
    created: UnixMicros,
    updated: UnixMicros,
}

impl Row for OrderItem {
    const TABLE: Table = Table::OrderItems;

    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self {
        // Before the first order there is an item of an order yet to come.
        let newest = around.last_order_key.max(1);
        let oldest = (newest - RECENT_ORDERS + 1).max(1);
        let rng = &mut *around.rng;
        Self {
            key,
            order: rng.random_range(oldest..=newest),
            product: rng.random_range(1..=PRODUCTS),
            quantity: rng.random_range(1..=MAX_QUANTITY),
            unit_price: Money::between(rng, UNIT_PRICE[0], UNIT_PRICE[1]),
            created: around.now,
            updated: around.now,
        }
    }

    fn update(&mut self, around: &mut Circumstances<'_>) {
        self.quantity = around.rng.random_range(1..=MAX_QUANTITY);
        self.updated = around.now;
    }

    fn write_columns(&self, json: &mut JsonWriter) {
        json.integer("ITEM_ID", self.key);
        json.integer("ORDER_ID", self.order);
        json.integer("PRODUCT_ID", self.product);
        json.integer("QUANTITY", i64::from(self.quantity));
        json.money("UNIT_PRICE", self.unit_price);
        json.money("SUBTOTAL", self.unit_price * self.quantity);
        json.timestamp("CREATED_AT", self.created);
        json.timestamp("UPDATED_AT", self.updated);
    }
}
