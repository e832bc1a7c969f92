//! PRODUCTS: goods whose stock and price change often, and whose status changes now and then.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::order_item::UNIT_PRICE;
use super::{Circumstances, Row};
use crate::generate::json_writer::{JsonWriter, Piece};
use crate::generate::money::Money;
use crate::generate::table::{Table, pick_by_percent, pick_from};
use crate::generate::unix_micros::UnixMicros;

const CATEGORIES: [&str; 10] = [
    "Electronics",
    "Books",
    "Clothing",
    "Home & Garden",
    "Sports",
    "Toys",
    "Food",
    "Health",
    "Automotive",
    "Music",
];

const NAMES: [&str; 6] = ["Monitor 27\"", "Novel", "Jacket", "Garden Chair", "Café Crème", "Tyre"];

const STATUSES: [&str; 3] = ["ACTIVE", "INACTIVE", "DISCONTINUED"];
const STATUS_PERCENTS: [u32; 3] = [85, 10, 5];

/// Chance that an update draws the status anew.
const STATUS_CHANGE: f64 = 0.1;

/// Chance that an update draws the price anew.
const PRICE_CHANGE: f64 = 0.3;

/// Pieces in stock: 0 to this.
const MAX_STOCK: i64 = 1_000;

/// A row of PRODUCTS.
#[derive(Debug)]
pub(in crate::generate) struct Product {
    key: i64,
    name: &'static str,
    category: &'static str,
    price: Money,
    stock: i64,
    status: &'static str,
    created: UnixMicros,
    updated: UnixMicros,
}

fn pick_status(rng: &mut ChaCha8Rng) -> &'static str {
    STATUSES[pick_by_percent(rng, &STATUS_PERCENTS)]
}

fn pick_price(rng: &mut ChaCha8Rng) -> Money {
    Money::between(rng, UNIT_PRICE[0], UNIT_PRICE[1])
}

impl Row for Product {
    const TABLE: Table = Table::Products;

    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self {
        let rng = &mut *around.rng;
        Self {
            key,
            name: pick_from(rng, &NAMES),
            category: pick_from(rng, &CATEGORIES),
            price: pick_price(rng),
            stock: rng.random_range(0..=MAX_STOCK),
            status: pick_status(rng),
            created: around.now,
            updated: around.now,
        }
    }

    fn update(&mut self, around: &mut Circumstances<'_>) {
        let rng = &mut *around.rng;
        self.stock = rng.random_range(0..=MAX_STOCK);
        if rng.random_bool(PRICE_CHANGE) {
            self.price = pick_price(rng);
        }
        if rng.random_bool(STATUS_CHANGE) {
            self.status = pick_status(rng);
        }
        self.updated = around.now;
    }

    fn write_columns(&self, json: &mut JsonWriter) {
        json.integer("PRODUCT_ID", self.key);
        json.text_of("NAME", &[Piece::Text(self.name), Piece::Text(" No. "), Piece::Number(self.key)]);
        let description = [Piece::Text(self.category), Piece::Text(":\n"), Piece::Text(self.name)];
        json.text_of("DESCRIPTION", &description);
        json.text("CATEGORY", self.category);
        json.money("PRICE", self.price);
        json.integer("STOCK_QUANTITY", self.stock);
        json.text("STATUS", self.status);
        json.timestamp("CREATED_AT", self.created);
        json.timestamp("UPDATED_AT", self.updated);
    }
}
