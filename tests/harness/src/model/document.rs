//! The rows in XML documents, as far as the generator writes them: no comments, no CDATA, names without prefixes, and
//! elements of interest that do not stand in each other.

use super::json::Json;
use super::postgres_text::ColumnType::{self, Integer, Money, Text};
use super::postgres_text::{Unfit, print};

/// A source column with documents, and the table that their rows go to.
#[derive(Debug)]
pub(super) struct Document {
    /// Name of the source column.
    pub(super) source: &'static str,
    pub(super) table: &'static ChildTable,
}

/// A table of rows from documents.
#[derive(Debug)]
pub(super) struct ChildTable {
    pub(super) name: &'static str,
    /// The column with the key of the row that the document stands in.
    pub(super) key: &'static str,
    /// The name of the elements that are rows.
    element: &'static str,
    columns: &'static [(&'static str, ColumnType, Place)],
}

/// Where in an element a value stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Attribute(&'static str),
    /// The text of a child.
    Child(&'static str),
    /// An attribute; where it is missing, the quantity times the unit price.
    Subtotal,
}

pub(super) const ORDER_ITEMS: ChildTable = ChildTable {
    name: "cdc_order_items_extracted",
    key: "order_id",
    element: "item",
    columns: &[
        ("product_id", Integer, Place::Attribute("product_id")),
        ("quantity", Integer, Place::Attribute("quantity")),
        ("unit_price", Money, Place::Attribute("unit_price")),
        ("subtotal", Money, Place::Subtotal),
    ],
};

pub(super) const CUSTOMER_ADDRESSES: ChildTable = ChildTable {
    name: "cdc_customer_addresses_extracted",
    key: "customer_id",
    element: "address",
    columns: &[
        ("address_type", Text, Place::Attribute("type")),
        ("street", Text, Place::Child("street")),
        ("city", Text, Place::Child("city")),
        ("zip", Text, Place::Child("zip")),
    ],
};

pub(super) const CHILD_TABLES: [&ChildTable; 2] = [&ORDER_ITEMS, &CUSTOMER_ADDRESSES];

impl ChildTable {
    /// The names of the columns that documents fill.
    pub(super) fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, ..)| *name)
    }

    /// The rows of a document, from its first line to its last; each as its values, with `null` where there is none.
    pub(super) fn rows(&self, document: &str) -> Result<Vec<Vec<String>>, Unfit> {
        elements(document, self.element).into_iter().map(|element| self.row(element)).collect()
    }

    fn row(&self, element: Element<'_>) -> Result<Vec<String>, Unfit> {
        let value = |(_, column_type, place): &(_, ColumnType, Place)| {
            let found = match place {
                Place::Attribute(name) => element.attribute(name),
                Place::Child(name) => element.child(name),
                Place::Subtotal => element.attribute("subtotal").or_else(|| element.product()),
            };
            let json = found.map_or(Json::Null, Json::Text);
            Ok(print(&json, *column_type)?.unwrap_or_else(|| "null".to_owned()))
        };
        self.columns.iter().map(value).collect()
    }
}

/// An element that is a row.
#[derive(Debug, Clone, Copy)]
struct Element<'d> {
    /// What stands in its start tag behind the name.
    attributes: &'d str,
    content: &'d str,
}

fn elements<'d>(document: &'d str, name: &str) -> Vec<Element<'d>> {
    let (start, end) = (format!("<{name} "), format!("</{name}>"));
    let pieces = document.split(start.as_str()).skip(1);
    let element = |piece: &'d str| {
        let (tag, rest) = piece.split_once('>')?;
        match tag.strip_suffix('/') {
            Some(attributes) => Some(Element { attributes, content: "" }),
            None => Some(Element { attributes: tag, content: rest.split_once(end.as_str())?.0 }),
        }
    };
    pieces.filter_map(element).collect()
}

impl Element<'_> {
    fn attribute(&self, name: &str) -> Option<String> {
        let start = format!(" {name}=\"");
        let padded = format!(" {}", self.attributes);
        let (_, rest) = padded.split_once(start.as_str())?;
        Some(unescaped(rest.split_once('"')?.0))
    }

    fn child(&self, name: &str) -> Option<String> {
        let (_, rest) = self.content.split_once(format!("<{name}>").as_str())?;
        let text = unescaped(rest.split_once('<')?.0.trim());
        (!text.is_empty()).then_some(text)
    }

    /// Quantity times unit price, to the cent.
    fn product(&self) -> Option<String> {
        let quantity: u64 = self.attribute("quantity")?.parse().ok()?;
        let price = print(&Json::Text(self.attribute("unit_price")?), Money).ok()??;
        let cents = quantity * price.replace('.', "").parse::<u64>().ok()?;
        Some(format!("{}.{:02}", cents / 100, cents % 100))
    }
}

/// The five entities that XML knows by itself; `&amp;` last, for what it makes is no entity any more.
fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_a_subtotal_even_if_it_is_not_written() {
        let document = "<shipping_info><items>\n<item product_id=\"7\" quantity=\"3\" unit_price=\"19.99\"/>\n\
             <item product_id=\"8\" quantity=\"1\" unit_price=\"5.00\" subtotal=\"4.00\"/><item quantity=\"1\"/></items>\
             </shipping_info>";
        let rows = ORDER_ITEMS.rows(document).unwrap();
        assert_eq!(rows[0], ["7", "3", "19.99", "59.97"]);
        assert_eq!(rows[1], ["8", "1", "5.00", "4.00"]);
        assert_eq!(rows[2], ["null", "1", "null", "null"]);
    }

    #[test]
    fn addresses_are_texts_of_children() {
        let document = "<addresses><address type=\"billing\"><street>1 Oak &amp; Elm</street><city>Łódź</city>\
             <zip> 00123 </zip></address><address type=\"shipping\"><city/></address></addresses>";
        let rows = CUSTOMER_ADDRESSES.rows(document).unwrap();
        assert_eq!(rows[0], ["billing", "1 Oak & Elm", "Łódź", "00123"]);
        assert_eq!(rows[1], ["shipping", "null", "null", "null"]);
    }
}
