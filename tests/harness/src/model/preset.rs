//! The tables of the e-commerce preset: which source column goes where.

use std::collections::BTreeMap;

use super::Row;
use super::document::{CUSTOMER_ADDRESSES, ChildTable, Document, ORDER_ITEMS};
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
    documents: &'static [Document],
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

const fn document(source: &'static str, table: &'static ChildTable) -> Document {
    Document { source, table }
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
        documents: &[document("SHIPPING_INFO", &ORDER_ITEMS), document("ORDER_DETAILS", &ORDER_ITEMS)],
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
        documents: &[],
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
        documents: &[document("ADDRESSES", &CUSTOMER_ADDRESSES)],
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
        documents: &[],
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
        documents: &[],
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

    /// What a row image tells.
    pub(super) fn image(&self, image: BTreeMap<String, Json>, op: &str) -> Result<Image, Unfit> {
        let mut unplaced = Unplaced(image);
        let (mut columns, mut documents) = (BTreeMap::new(), BTreeMap::new());
        for column in self.columns {
            if let Some(value) = column.value(&mut unplaced) {
                columns.insert(column.name, print(&value, column.column_type)?);
            }
        }
        for document in self.documents {
            if let Some(value) = unplaced.take(document.source) {
                documents.insert(document.source, document.table.rows(value.as_text().unwrap_or_default())?);
            }
        }
        let is_whole = columns.len() == self.columns.len() && documents.len() == self.documents.len();
        Ok(Image { columns, documents, is_whole, extra_fields: unplaced.0, op: op.to_owned() })
    }

    /// The state before any event.
    fn empty(&self) -> State {
        let columns = self.columns.iter().map(|column| (column.name.to_owned(), None)).collect();
        let row = Row { columns, extra_fields: Json::empty_object(), source_op: String::new() };
        State { row, documents: BTreeMap::new() }
    }

    /// The state of a key after one more event; `None` if there is no such row. What an update leaves out stays, what
    /// any other event leaves out is null. An update that leaves out nothing, and any other event, replaces the extra
    /// fields; else they are added to.
    pub(super) fn after(&self, state: Option<State>, image: Option<Image>) -> Option<State> {
        let image = image?;
        let keeps = image.op == "u" && !image.is_whole;
        let mut state = state.filter(|_| keeps).unwrap_or_else(|| self.empty());
        for (name, value) in image.columns {
            state.row.columns.insert(name.to_owned(), value);
        }
        state.documents.extend(image.documents);
        if let Json::Object(fields) = &mut state.row.extra_fields {
            fields.extend(image.extra_fields);
        }
        state.row.source_op = image.op;
        Some(state)
    }

    /// The rows of the documents of one key, by child table, as [`super::Children`] has them.
    pub(super) fn children(&self, key: i64, state: &State) -> Vec<(&'static str, String)> {
        let of_document = |document: &'static Document| {
            let rows = state.documents.get(document.source).into_iter().flatten().zip(1..);
            rows.map(move |(values, line_no): (&Vec<String>, u32)| {
                let line = format!("{key} {} {line_no}: {}", document.source, values.join(", "));
                (document.table.name, line)
            })
        };
        self.documents.iter().flat_map(of_document).collect()
    }
}

/// What one event tells of a row: what it left out is not there.
pub(super) struct Image {
    columns: BTreeMap<&'static str, Option<String>>,
    /// The rows of documents, by source column.
    documents: BTreeMap<&'static str, Vec<Vec<String>>>,
    /// Whether it left out no column and no document.
    is_whole: bool,
    extra_fields: BTreeMap<String, Json>,
    op: String,
}

/// A row with its documents.
pub(super) struct State {
    pub(super) row: Row,
    documents: BTreeMap<&'static str, Vec<Vec<String>>>,
}

impl Column {
    /// What an image has for the column; `None` if nothing.
    fn value(&self, unplaced: &mut Unplaced) -> Option<Json> {
        match (unplaced.take(self.name), self.origin) {
            (Some(value), _) => Some(value),
            (None, Origin::SameName) => None,
            (None, Origin::Renamed(source)) => unplaced.take(source),
            (None, Origin::Joined(first, second)) => match (unplaced.take(first), unplaced.take(second)) {
                (None, None) => None,
                (first, second) => Some(joined(first, second)),
            },
            (None, Origin::Equals(source, wanted)) => match unplaced.look(source)? {
                Json::Null => Some(Json::Null),
                value => Some(Json::Bool(value.as_text() == Some(wanted))),
            },
        }
    }
}

/// Two texts with a space between them; of a missing one nothing is left.
fn joined(first: Option<Json>, second: Option<Json>) -> Json {
    let parts: Vec<String> =
        [first, second].into_iter().flatten().filter_map(|part| part.as_text().map(str::to_owned)).collect();
    if parts.is_empty() { Json::Null } else { Json::Text(parts.join(" ")) }
}
