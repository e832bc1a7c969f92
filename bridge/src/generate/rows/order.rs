//! ORDERS: orders with a status that moves on, sometimes with shipping XML and columns nobody announced.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::shipping_info::shipping_info;
use super::{Circumstances, Row};
use crate::generate::json_writer::{JsonWriter, Piece};
use crate::generate::money::Money;
use crate::generate::table::{Table, pick_from};
use crate::generate::unix_micros::UnixMicros;

/// Orders name customers 1 to this, most of whom come later, or never.
const CUSTOMERS: i64 = 1_000;

/// Share of inserted orders with a SHIPPING_INFO.
const WITH_SHIPPING_INFO: f64 = 0.3;

/// Chance that an update moves the status one step on.
const STATUS_STEP: f64 = 0.7;

/// Share of orders above the ordinary range, so that some pass an alert threshold of 10,000.
const LARGE_ORDER: f64 = 0.01;

const ORDINARY_TOTAL: [Money; 2] = [Money::from_whole(50), Money::from_whole(5_000)];
const LARGE_TOTAL: [Money; 2] = [Money::from_whole(5_000), Money::from_whole(20_000)];

/// An order is placed up to so many seconds before its row is written.
const PLACED_BEFORE_SECONDS: i64 = 60;

/// The way of an order; the last step is final.
const STATUSES: [&str; 5] = ["PENDING", "CONFIRMED", "SHIPPED", "DELIVERED", "CANCELLED"];

const SALES_CHANNELS: [&str; 4] = ["WEB", "MOBILE", "STORE", "PARTNER"];
const PRIORITIES: [&str; 3] = ["LOW", "NORMAL", "HIGH"];

/// A row of ORDERS.
#[derive(Debug)]
pub(in crate::generate) struct Order {
    key: i64,
    customer: i64,
    placed: UnixMicros,
    status: usize,
    total: Money,
    created: UnixMicros,
    updated: UnixMicros,
    shipping_info: Option<Box<str>>,
    drift: Box<[DriftColumn]>,
}

/// A column that the table did not have at first.
#[derive(Debug, Clone, Copy)]
enum DriftColumn {
    DiscountCode(i64),
    DiscountPercent(Money),
    LoyaltyPoints(i64),
    SalesChannel(&'static str),
    Priority(&'static str),
}

impl DriftColumn {
    /// One to three different drift columns.
    fn some(rng: &mut ChaCha8Rng) -> Box<[Self]> {
        let all = [
            Self::DiscountCode(rng.random_range(5..=50)),
            Self::DiscountPercent(Money::between(rng, Money::from_whole(1), Money::from_whole(50))),
            Self::LoyaltyPoints(rng.random_range(0..10_000)),
            Self::SalesChannel(pick_from(rng, &SALES_CHANNELS)),
            Self::Priority(pick_from(rng, &PRIORITIES)),
        ];
        let count = rng.random_range(1..=3);
        all.sample(rng, count).copied().collect()
    }

    fn write(self, json: &mut JsonWriter) {
        match self {
            Self::DiscountCode(percent) => {
                json.text_of("DISCOUNT_CODE", &[Piece::Text("SAVE"), Piece::Number(percent)]);
            }
            Self::DiscountPercent(percent) => json.money("DISCOUNT_PERCENT", percent),
            Self::LoyaltyPoints(points) => json.integer("LOYALTY_POINTS", points),
            Self::SalesChannel(channel) => json.text("SALES_CHANNEL", channel),
            Self::Priority(priority) => json.text("PRIORITY", priority),
        }
    }
}

impl Row for Order {
    const TABLE: Table = Table::Orders;

    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self {
        let now = around.now;
        let drifted = around.rng.random_bool(around.drift);
        let rng = &mut *around.rng;
        let [least, most] = if rng.random_bool(LARGE_ORDER) { LARGE_TOTAL } else { ORDINARY_TOTAL };
        Self {
            key,
            customer: rng.random_range(1..=CUSTOMERS),
            placed: now.minus_seconds(rng.random_range(0..=PLACED_BEFORE_SECONDS)),
            status: 0,
            total: Money::between(rng, least, most),
            created: now,
            updated: now,
            shipping_info: rng.random_bool(WITH_SHIPPING_INFO).then(|| shipping_info(rng)),
            drift: if drifted { DriftColumn::some(rng) } else { Box::default() },
        }
    }

    fn update(&mut self, around: &mut Circumstances<'_>) {
        if around.rng.random_bool(STATUS_STEP) {
            self.status = (self.status + 1).min(STATUSES.len() - 1);
        }
        self.updated = around.now;
    }

    fn write_columns(&self, json: &mut JsonWriter) {
        json.integer("ORDER_ID", self.key);
        json.integer("CUSTOMER_ID", self.customer);
        json.timestamp("ORDER_DATE", self.placed);
        json.text("STATUS", STATUSES[self.status]);
        json.money("TOTAL_AMOUNT", self.total);
        json.timestamp("CREATED_AT", self.created);
        json.timestamp("UPDATED_AT", self.updated);
        if let Some(xml) = &self.shipping_info {
            json.text("SHIPPING_INFO", xml);
        }
        for column in &self.drift {
            column.write(json);
        }
    }
}
