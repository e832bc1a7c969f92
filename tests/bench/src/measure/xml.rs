//! A large XML document: from the event to the rows of its items.

use std::fmt::Write as _;

use anyhow::ensure;
use serde_json::json;

use super::apply::PRESET;
use super::staging::fill_inbox;
use crate::bench::Bench;
use crate::corpus::Message;
use crate::event;
use crate::stopwatch::{Reading, Stopwatch};

const DOCUMENT_BYTES: usize = 5_000_000;

/// Documents applied, each by itself. One more goes before, by which the session gets to know the tables.
const DOCUMENTS: usize = 5;

/// One event in each transaction.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Reading> {
    let database = bench.server.scratch(PRESET).await?;
    let (xml, items) = document(DOCUMENT_BYTES);
    let events: Vec<Message> = (0..=DOCUMENTS).map(|order| order_with(order, &xml)).collect();
    fill_inbox(&database, &events).await?;
    let apply = database.client.prepare("select events from cdc.apply(1)").await?;
    database.client.query_one(&apply, &[]).await?;
    let mut stopwatch = Stopwatch::start(&database).await?;
    for _ in 0..DOCUMENTS {
        database.client.query_one(&apply, &[]).await?;
        stopwatch.lap();
    }
    let reading = stopwatch.stop(&database, DOCUMENTS as u64).await?;
    let rows = database.count("select count(*) from cdc_order_items_extracted").await?;
    let expected = (items * events.len()) as u64;
    ensure!(rows == expected, "{rows} rows were extracted, expected {expected}");
    Ok(reading)
}

fn order_with(order: usize, xml: &str) -> Message {
    let row = json!({
        "ORDER_ID": order + 1, "CUSTOMER_ID": 1, "ORDER_DATE": "2026-01-01T00:00:00.000000", "STATUS": "PENDING",
        "TOTAL_AMOUNT": 100.00, "CREATED_AT": "2026-01-01T00:00:00.000000", "UPDATED_AT": "2026-01-01T00:00:00.000000",
        "SHIPPING_INFO": xml
    });
    event::newest("ORDERS", "insert", &row)
}

/// A document as the generator makes them, with a name and a note to each item, and its number of items.
fn document(bytes: usize) -> (String, usize) {
    let mut xml = String::from("<shipping_info>\n  <items>\n");
    let mut items = 0;
    while xml.len() < bytes {
        items += 1;
        // Writing to a String cannot fail.
        let _ = writeln!(
            xml,
            "    <item product_id=\"{items}\" quantity=\"3\" unit_price=\"19.90\">\n      <name>Garden chair No. \
             {items}</name>\n      <note>Deliver to the back door; call before &amp; after.</note>\n    </item>"
        );
    }
    xml.push_str("  </items>\n  <shipping>\n    <method>EXPRESS</method>\n  </shipping>\n</shipping_info>");
    (xml, items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_its_size_and_counts_its_items() {
        let (xml, items) = document(10_000);
        assert!((10_000..11_000).contains(&xml.len()), "{}", xml.len());
        assert_eq!(xml.matches("<item ").count(), items);
    }
}
