//! The tables of the e-commerce preset: which source column goes where.

use std::collections::BTreeMap;

use super::Row;
use super::json::Json;
use super::postgres_text::ColumnType::{self, Boolean, Integer, Money, Text, Timestamp};
use super::postgres_text::{Unfit, print};

/// An ODS table and the source table that feeds it.
#[derive(Debug)]
pub(super) struct Table {
    /// Name of the ODS table.
    pub(super) name: &'static str,
    /// Name of the source table, in any schema.
    source: &'static str,
    /// The columns, the key first.
    pub(super) columns: &'static [Column],
    /// Source columns that go to a child table, and so are neither columns here nor extra fields.
    extracted: &'static [&'static str],
}

/// A column of an ODS table.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    column_type: ColumnType,
    origin: Origin,
}

/// Where a column's value comes from. A source column of the same name always comes first.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// Only from the source column of the same name.
    SameName,
    /// From another source column.
    Renamed(&'static str),
    /// From two texts, joined by a space.
    Joined(&'static str, &'static str),
    /// Whether a source column has a certain text. The column is still an extra field, for the text says more.
    Equals(&'static str, &'static str),
}

const fn column(name: &'static str, column_type: ColumnType) -> Column {
    Column { name, column_type, origin: Origin::SameName }
}

const fn mapped(name: &'static str, column_type: ColumnType, origin: Origin) -> Column {
    Column { name, column_type, origin }
}

/// All tables.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "cdc_orders",
        source: "ORDERS",
        columns: &[
            column("order_id", Integer),
            column("customer_id", Integer),
            column("order_date", Timestamp),
            column("total_amount", Money),
            column("status", Text),
            column("created_at", Timestamp),
            column("updated_at", Timestamp),
        ],
        extracted: &["SHIPPING_INFO", "ORDER_DETAILS"],
    },
    Table {
        name: "cdc_order_items",
        source: "ORDER_ITEMS",
        columns: &[
            column("item_id", Integer),
            column("order_id", Integer),
            column("product_id", Integer),
            column("quantity", Integer),
            column("unit_price", Money),
            column("subtotal", Money),
        ],
        extracted: &[],
    },
    Table {
        name: "cdc_customers",
        source: "CUSTOMERS",
        columns: &[
            column("customer_id", Integer),
            mapped("name", Text, Origin::Joined("FIRST_NAME", "LAST_NAME")),
            column("email", Text),
            column("tier", Text),
            mapped("region", Text, Origin::Renamed("CITY")),
            column("created_at", Timestamp),
        ],
        extracted: &["ADDRESSES"],
    },
    Table {
        name: "cdc_products",
        source: "PRODUCTS",
        columns: &[
            column("product_id", Integer),
            column("name", Text),
            column("category", Text),
            column("price", Money),
            mapped("stock_qty", Integer, Origin::Renamed("STOCK_QUANTITY")),
            mapped("is_active", Boolean, Origin::Equals("STATUS", "ACTIVE")),
        ],
        extracted: &[],
    },
    Table {
        name: "cdc_audit_log",
        source: "AUDIT_LOG",
        columns: &[
            column("log_id", Integer),
            mapped("event_type", Text, Origin::Renamed("ACTION")),
            mapped("table_name", Text, Origin::Renamed("ENTITY_TYPE")),
            mapped("record_id", Text, Origin::Renamed("ENTITY_ID")),
            mapped("changed_by", Text, Origin::Renamed("USER_ID")),
            mapped("changed_at", Timestamp, Origin::Renamed("CREATED_AT")),
        ],
        extracted: &[],
    },
];

/// The columns of a source row that have not found their place yet.
struct Unplaced(BTreeMap<String, Json>);

impl Unplaced {
    /// Takes out a column; names are compared without case.
    fn take(&mut self, name: &str) -> Option<Json> {
        let found = self.0.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
        self.0.remove(&found)
    }

    fn look(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Table {
    /// The table fed by the source table `source`, if the preset has one.
    pub(super) fn of_source(source: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.source == source)
    }

    /// The key in a row image.
    pub(super) fn key(&self, image: &BTreeMap<String, Json>) -> Result<i64, Unfit> {
        let (_, value) =
            image.iter().find(|(name, _)| name.eq_ignore_ascii_case(self.columns[0].name)).ok_or(Unfit)?;
        print(value, Integer)?.and_then(|digits| digits.parse().ok()).ok_or(Unfit)
    }

    /// The ODS row of a row image.
    pub(super) fn row(&self, image: BTreeMap<String, Json>, op: &str) -> Result<Row, Unfit> {
        let mut unplaced = Unplaced(image);
        let mut columns = BTreeMap::new();
        for column in self.columns {
            columns.insert(column.name.to_owned(), column.value(&mut unplaced)?);
        }
        for name in self.extracted {
            unplaced.take(name);
        }
        Ok(Row { columns, extra_fields: Json::Object(unplaced.0), source_op: op.to_owned() })
    }
}

impl Column {
    fn value(&self, unplaced: &mut Unplaced) -> Result<Option<String>, Unfit> {
        let value = match (unplaced.take(self.name), self.origin) {
            (Some(value), _) => value,
            (None, Origin::SameName) => Json::Null,
            (None, Origin::Renamed(source)) => unplaced.take(source).unwrap_or(Json::Null),
            (None, Origin::Joined(first, second)) => joined(unplaced.take(first), unplaced.take(second)),
            (None, Origin::Equals(source, wanted)) => match unplaced.look(source) {
                None | Some(Json::Null) => Json::Null,
                Some(value) => Json::Bool(value.as_text() == Some(wanted)),
            },
        };
        print(&value, self.column_type)
    }
}

/// Two texts with a space between them; of a missing one nothing is left.
fn joined(first: Option<Json>, second: Option<Json>) -> Json {
    let parts: Vec<String> =
        [first, second].into_iter().flatten().filter_map(|part| part.as_text().map(str::to_owned)).collect();
    if parts.is_empty() { Json::Null } else { Json::Text(parts.join(" ")) }
}
