//! The source tables, how often each changes, and by which operations.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A table of the simulated shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Orders,
    OrderItems,
    Customers,
    Products,
    AuditLog,
}

/// What was done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Table {
    pub(crate) const ALL: [Self; 5] =
        [Self::Orders, Self::OrderItems, Self::Customers, Self::Products, Self::AuditLog];

    /// The name in Oracle, as in `source.table` and the topic.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Orders => "ORDERS",
            Self::OrderItems => "ORDER_ITEMS",
            Self::Customers => "CUSTOMERS",
            Self::Products => "PRODUCTS",
            Self::AuditLog => "AUDIT_LOG",
        }
    }

    /// The column of the primary key.
    pub(crate) fn key_column(self) -> &'static str {
        match self {
            Self::Orders => "ORDER_ID",
            Self::OrderItems => "ITEM_ID",
            Self::Customers => "CUSTOMER_ID",
            Self::Products => "PRODUCT_ID",
            Self::AuditLog => "LOG_ID",
        }
    }

    /// How many of 100 changes are of this table.
    pub(crate) fn percent(self) -> u32 {
        match self {
            Self::Orders | Self::OrderItems => 40,
            Self::Customers => 10,
            Self::Products => 8,
            Self::AuditLog => 2,
        }
    }

    /// How many of 100 changes of this table insert, update and delete.
    pub(crate) fn operation_percents(self) -> [u32; 3] {
        match self {
            Self::Orders => [70, 25, 5],
            Self::OrderItems => [80, 15, 5],
            Self::Customers => [20, 75, 5],
            Self::Products => [10, 85, 5],
            Self::AuditLog => [100, 0, 0],
        }
    }

    /// Draws a table by the shares above.
    pub(crate) fn pick(rng: &mut ChaCha8Rng) -> Self {
        Self::ALL[pick_by_percent(rng, &Self::ALL.map(Self::percent))]
    }
}

impl Operation {
    pub(crate) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    /// Draws an operation by the mix of `table`.
    pub(crate) fn pick(rng: &mut ChaCha8Rng, table: Table) -> Self {
        Self::ALL[pick_by_percent(rng, &table.operation_percents())]
    }

    /// Debezium's `op`.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Insert => "c",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }

    /// The last level of the topic.
    pub(crate) fn topic_level(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Draws an index by shares that add up to 100.
pub(crate) fn pick_by_percent(rng: &mut ChaCha8Rng, percents: &[u32]) -> usize {
    let mut draw = rng.random_range(0..100);
    for (index, &percent) in percents.iter().enumerate() {
        if draw < percent {
            return index;
        }
        draw -= percent;
    }
    percents.len() - 1
}

/// Draws one of `choices`, each as likely as the others.
pub(crate) fn pick_from<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}
