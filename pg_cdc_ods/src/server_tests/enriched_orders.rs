//! The enriched orders of the preset and their windows, whatever the order of events.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{Happening, apply, happening, one, preset, tell};
    use crate::subtransaction;

    const ORDER: Happening =
        happening("ORDERS", 'c', 1, r#"{"ORDER_ID":1,"CUSTOMER_ID":7,"TOTAL_AMOUNT":50,"STATUS":"NEW"}"#);
    const CUSTOMER: Happening =
        happening("CUSTOMERS", 'c', 2, r#"{"CUSTOMER_ID":7,"NAME":"Ann Lee","TIER":"GOLD","REGION":"EU"}"#);
    const ITEM_1: Happening =
        happening("ORDER_ITEMS", 'c', 3, r#"{"ITEM_ID":11,"ORDER_ID":1,"PRODUCT_ID":5,"SUBTOTAL":20.50}"#);
    const ITEM_2: Happening =
        happening("ORDER_ITEMS", 'c', 4, r#"{"ITEM_ID":12,"ORDER_ID":1,"PRODUCT_ID":5,"SUBTOTAL":9.50}"#);
    const PRODUCT: Happening =
        happening("PRODUCTS", 'c', 5, r#"{"PRODUCT_ID":5,"NAME":"Lamp","CATEGORY":"Home"}"#);

    const ENRICHED: &str = "
        select string_agg(concat_ws('|', order_id, customer_name, customer_tier, customer_region, total_amount, item_count,
                   items_total, product_names, product_categories, status, complete, missing, window_start), ' ')
          from cdc_orders_enriched";
    const WINDOWS: &str = "
        select string_agg(concat_ws('|', window_start, customer_tier, product_category, order_count, total_revenue,
                   avg_order_value, closed), ' ' order by window_start, customer_tier, product_category)
          from cdc_order_aggregations";

    fn assert_verified() {
        for name in ["orders_enriched", "order_aggregations"] {
            let sql = format!("select string_agg(v::text, ', ') from cdc.verify('{name}') v");
            assert_eq!(one::<String>(&sql), None, "{name}");
        }
    }

    /// All orders of `n` things.
    fn permutations(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let insert = |rest: Vec<usize>| {
            (0..n).map(move |place| {
                let mut order = rest.clone();
                order.insert(place, n - 1);
                order
            })
        };
        permutations(n - 1).into_iter().flat_map(insert).collect()
    }

    /// Applies after each of these, or once after all; returns the enriched row and the windows, and undoes it all.
    fn end_of(happenings: &[&Happening], one_batch: bool) -> String {
        let outcome = subtransaction::run(|| {
            for happening in happenings {
                tell(happening);
                if !one_batch {
                    apply();
                }
            }
            apply();
            assert_verified();
            let [row, windows] = [ENRICHED, WINDOWS].map(|sql| one::<String>(sql).unwrap_or_default());
            error!("{row}\n{windows}");
        });
        outcome.map_or_else(|failure| failure.message, |()| String::new())
    }

    /// After what has happened before, the rest in every order, a batch for each: the end must always be the same.
    fn assert_same_end_in_every_order(before: &[Happening], rest: &[Happening], expected: &str) {
        preset();
        for happening in before {
            tell(happening);
            apply();
        }
        for order in permutations(rest.len()) {
            let delivered: Vec<_> = order.iter().map(|place| &rest[*place]).collect();
            assert_eq!(end_of(&delivered, false), expected, "{order:?}");
        }
    }

    const COMPLETE: &str = "1|Ann Lee|GOLD|EU|50.00|2|30.00|{Lamp}|{Home}|NEW|t|{}|2023-11-14 22:10:00\n\
        2023-11-14 22:10:00|GOLD|Home|1|30.00|30.00|f";

    #[pg_test]
    fn every_order_of_arrival_gives_the_same_row_and_windows() {
        assert_same_end_in_every_order(&[], &[ORDER, CUSTOMER, ITEM_1, ITEM_2, PRODUCT], COMPLETE);
    }

    #[pg_test]
    fn every_order_of_arrival_in_one_batch_gives_the_same_row_and_windows() {
        preset();
        for order in permutations(5) {
            let all = [&ORDER, &CUSTOMER, &ITEM_1, &ITEM_2, &PRODUCT];
            let delivered: Vec<_> = order.iter().map(|place| all[*place]).collect();
            assert_eq!(end_of(&delivered, true), COMPLETE, "{order:?}");
        }
    }

    const ORDER_PAID: Happening =
        happening("ORDERS", 'u', 40, r#"{"ORDER_ID":1,"CUSTOMER_ID":7,"TOTAL_AMOUNT":60,"STATUS":"PAID"}"#);
    const CUSTOMER_UP: Happening = happening(
        "CUSTOMERS",
        'u',
        41,
        r#"{"CUSTOMER_ID":7,"NAME":"Ann Lee","TIER":"PLATINUM","REGION":"EU"}"#,
    );
    const ITEM_1_MORE: Happening =
        happening("ORDER_ITEMS", 'u', 42, r#"{"ITEM_ID":11,"ORDER_ID":1,"PRODUCT_ID":5,"SUBTOTAL":41.00}"#);
    const ITEM_2_OTHER: Happening =
        happening("ORDER_ITEMS", 'u', 43, r#"{"ITEM_ID":12,"ORDER_ID":2,"PRODUCT_ID":5,"SUBTOTAL":9.50}"#);
    const PRODUCT_MOVED: Happening =
        happening("PRODUCTS", 'u', 44, r#"{"PRODUCT_ID":5,"NAME":"Lantern","CATEGORY":"Light"}"#);

    #[pg_test]
    fn every_order_of_updates_gives_the_same_row_and_windows() {
        assert_same_end_in_every_order(
            &[ORDER, CUSTOMER, ITEM_1, ITEM_2, PRODUCT],
            &[ORDER_PAID, CUSTOMER_UP, ITEM_1_MORE, ITEM_2_OTHER, PRODUCT_MOVED],
            "1|Ann Lee|PLATINUM|EU|60.00|1|41.00|{Lantern}|{Light}|PAID|t|{}|2023-11-14 22:10:00\n\
             2023-11-14 22:10:00|PLATINUM|Light|1|41.00|41.00|t",
        );
    }

    #[pg_test]
    fn every_order_of_rows_and_their_updates_gives_the_same_row_and_windows() {
        assert_same_end_in_every_order(
            &[PRODUCT],
            &[ORDER, ORDER_PAID, CUSTOMER, CUSTOMER_UP],
            "1|Ann Lee|PLATINUM|EU|60.00|0|0.00|{}|{}|PAID|f|{items}|2023-11-14 22:10:00\n\
             2023-11-14 22:10:00|PLATINUM|1|60.00|60.00|t",
        );
    }

    #[pg_test]
    fn every_order_of_deletes_gives_the_same_row_and_windows() {
        const CUSTOMER_GONE: Happening = happening("CUSTOMERS", 'd', 6, r#"{"CUSTOMER_ID":7}"#);
        const ITEM_1_GONE: Happening = happening("ORDER_ITEMS", 'd', 7, r#"{"ITEM_ID":11}"#);
        const PRODUCT_GONE: Happening = happening("PRODUCTS", 'd', 8, r#"{"PRODUCT_ID":5}"#);
        assert_same_end_in_every_order(
            &[ITEM_2],
            &[ORDER, CUSTOMER_GONE, CUSTOMER, ITEM_1_GONE, PRODUCT_GONE],
            "1|50.00|1|9.50|{}|{}|NEW|f|{customer,products}|2023-11-14 22:10:00\n\
             2023-11-14 22:10:00|1|50.00|50.00|f",
        );
    }

    #[pg_test]
    fn an_order_deleted_and_made_again_keeps_the_window_of_its_first_event() {
        const GONE: Happening = happening("ORDERS", 'd', 40, r#"{"ORDER_ID":1}"#);
        const AGAIN: Happening =
            happening("ORDERS", 'c', 80, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":70,"STATUS":"AGAIN"}"#);
        assert_same_end_in_every_order(
            &[],
            &[ORDER, GONE, AGAIN],
            "1|70.00|0|0.00|{}|{}|AGAIN|f|{customer,items}|2023-11-14 22:10:00\n2023-11-14 22:10:00|1|70.00|70.00|t",
        );
    }

    #[pg_test]
    fn without_its_order_there_is_neither_row_nor_window() {
        const GONE: Happening = happening("ORDERS", 'd', 6, r#"{"ORDER_ID":1}"#);
        assert_same_end_in_every_order(&[], &[ORDER, GONE, CUSTOMER, ITEM_1], "\n");
    }
}
