//! The XML document in ORDERS.SHIPPING_INFO.

use std::fmt::Write as _;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::order_item::{MAX_QUANTITY, PRODUCTS, UNIT_PRICE};
use crate::generate::money::Money;
use crate::generate::table::pick_from;

/// Bytes that hold the longest document, so that it is allocated once.
const LONGEST: usize = 640;

const METHODS: [&str; 4] = ["STANDARD", "EXPRESS", "OVERNIGHT", "PICKUP"];

/// Streets as they stand in XML, entities included.
const STREETS: [&str; 5] =
    ["Main St", "Oak &amp; Elm Ave", "Lindenstraße", "Rue de l&apos;Église", "Park Rd"];

/// An indented document with one to five items.
pub(super) fn shipping_info(rng: &mut ChaCha8Rng) -> Box<str> {
    let mut xml = String::with_capacity(LONGEST);
    xml.push_str("<shipping_info>\n  <items>\n");
    for _ in 0..rng.random_range(1..=5) {
        let product = rng.random_range(1..=PRODUCTS);
        let quantity = rng.random_range(1..=MAX_QUANTITY);
        let price = Money::between(rng, UNIT_PRICE[0], UNIT_PRICE[1]);
        // Writing to a String cannot fail.
        let _ =
            writeln!(xml, r#"    <item product_id="{product}" quantity="{quantity}" unit_price="{price}"/>"#);
    }
    let (method, street) = (pick_from(rng, &METHODS), pick_from(rng, &STREETS));
    let (house, days) = (rng.random_range(1..=999), rng.random_range(1..=14));
    let _ = write!(
        xml,
        "  </items>\n  <shipping>\n    <method>{method}</method>\n    <address>{house} {street}</address>\n    \
         <estimated_days>{days}</estimated_days>\n  </shipping>\n</shipping_info>"
    );
    xml.into_boxed_str()
}
