//! What decoding costs at least: serde_json on one core, without a server.

use std::borrow::Cow;
use std::hint::black_box;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bench::Bench;
use crate::corpus::Message;
use crate::stopwatch::{Reading, timed};

/// How much of an event is taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// All of it, into a tree.
    Tree,
    /// The envelope; rows stay text.
    RawRows,
    /// The envelope, and the row that counts into a struct of its table.
    TypedRow,
}

/// Decodes each message once.
pub(super) fn run(bench: &Bench, shape: Shape) -> anyhow::Result<Reading> {
    let mut outcome = Ok(());
    let reading = timed(bench.corpus.events(), || {
        outcome = bench.corpus.messages.iter().try_for_each(|message| decode(message, shape));
    });
    outcome.map(|()| reading)
}

fn decode(message: &Message, shape: Shape) -> anyhow::Result<()> {
    let text = &message.payload;
    let decoded = match shape {
        Shape::Tree => read::<Value>(text),
        Shape::RawRows => read::<Envelope<'_>>(text),
        Shape::TypedRow => {
            serde_json::from_str(text).and_then(|envelope| typed_row(message.table(), &envelope))
        }
    };
    decoded.with_context(|| format!("cannot decode {text}"))
}

fn typed_row(table: &str, envelope: &Envelope<'_>) -> serde_json::Result<()> {
    let Some(row) = envelope.payload.after.or(envelope.payload.before).map(RawValue::get) else {
        return Ok(());
    };
    match table {
        "ORDERS" => read::<Order<'_>>(row),
        "ORDER_ITEMS" => read::<OrderItem<'_>>(row),
        "CUSTOMERS" => read::<Customer<'_>>(row),
        "PRODUCTS" => read::<Product<'_>>(row),
        _ => read::<AuditEntry<'_>>(row),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<()> {
    black_box(serde_json::from_str::<T>(text)?);
    Ok(())
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading the fields is what is measured")]
struct Payload<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Source<'a>,
    op: &'a str,
    ts_ms: i64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "reading the fields is what is measured")]
struct Source<'a> {
    schema: &'a str,
    table: &'a str,
    scn: &'a str,
}

/// Declares a row: texts are borrowed where they need no unescaping, numbers keep their digits.
macro_rules! row {
    ($name:ident { keys: $($key:ident),+; texts: $($text:ident),*; numbers: $($number:ident),*; }) => {
        #[derive(Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[expect(dead_code, reason = "reading the fields is what is measured")]
        struct $name<'a> {
            $($key: i64,)+
            $(#[serde(borrow, default)] $text: Cow<'a, str>,)*
            $(#[serde(borrow)] $number: Option<&'a RawValue>,)*
        }
    };
}

row!(Order {
    keys: order_id;
    texts: order_date, status, shipping_info, created_at, updated_at;
    numbers: customer_id, total_amount;
});
row!(OrderItem {
    keys: item_id;
    texts: created_at, updated_at;
    numbers: order_id, product_id, quantity, unit_price, subtotal;
});
row!(Customer {
    keys: customer_id;
    texts: first_name, last_name, email, phone, address, city, country, tier, created_at, updated_at;
    numbers: ;
});
row!(Product {
    keys: product_id;
    texts: name, description, category, status, created_at, updated_at;
    numbers: price, stock_quantity;
});
row!(AuditEntry {
    keys: log_id;
    texts: action, entity_type, user_id, details, ip_address, created_at;
    numbers: entity_id;
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event;

    #[test]
    fn every_shape_reads_an_event() {
        let row = json!({"ORDER_ID": 1, "CUSTOMER_ID": 2, "STATUS": "NEW \"1\"", "TOTAL_AMOUNT": 1.50});
        let message = event::newest("ORDERS", "insert", &row);
        for shape in [Shape::Tree, Shape::RawRows, Shape::TypedRow] {
            decode(&message, shape).unwrap();
        }
    }

    #[test]
    fn a_row_without_its_key_is_an_error() {
        let message = event::newest("ORDERS", "insert", &json!({"STATUS": "NEW"}));
        assert!(decode(&message, Shape::TypedRow).is_err());
    }
}
