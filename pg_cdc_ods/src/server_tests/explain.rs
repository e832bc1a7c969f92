//! `cdc.explain_event()` and `cdc.promote_column()` inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, apply, ingest, one, order, preset};

    /// The parts of an explanation in lines.
    fn explain(payload: &str) -> String {
        let sql = "select string_agg(concat_ws(' | ', part, name, value, goes_to), e'\\n') from cdc.explain_event($1, $2)
            where name is distinct from 'position'";
        Spi::get_one_with_args::<String>(sql, &[ORDERS.into(), payload.into()]).unwrap().unwrap()
    }

    #[pg_test]
    fn an_event_is_explained_and_nothing_is_changed() {
        preset();
        let payload = order(
            "c",
            1,
            r#"{"ORDER_ID":1,"TOTAL_AMOUNT":12.50,"ORDER_DATE":1700000000000,"GIFT":true,"SHIPPING_INFO":"<a><item/></a>"}"#,
        );
        let lines = explain(&payload);
        for line in [
            "event | source | SALES.ORDERS",
            "event | target | public.cdc_orders",
            "key | order_id | 1 | public.cdc_orders.order_id",
            "column | total_amount | 12.50 | public.cdc_orders.total_amount numeric",
            "column | order_date | 2023-11-14 22:13:20 | public.cdc_orders.order_date timestamp",
            "column | GIFT | true | public.cdc_orders.extra_fields",
            "document | SHIPPING_INFO | 1 rows | public.cdc_order_items_extracted",
            "outcome | a row is inserted",
        ] {
            assert!(lines.lines().any(|found| found == line), "{line} in\n{lines}");
        }
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(0));
        assert_eq!(one::<i64>("select count(*) from cdc.inbox"), Some(0));
    }

    #[pg_test]
    fn an_explanation_knows_what_is_stored() {
        preset();
        ingest(ORDERS, &order("c", 5, r#"{"ORDER_ID":1}"#));
        apply();
        assert!(explain(&order("u", 6, r#"{"ORDER_ID":1}"#)).ends_with("outcome | the row is updated"));
        assert!(
            explain(&order("c", 4, r#"{"ORDER_ID":1}"#)).ends_with("nothing: the row is as new, or newer")
        );
        assert!(explain(&order("d", 6, r#"{"ORDER_ID":1}"#)).ends_with("outcome | the row is deleted"));
        let misfit = explain(&order("c", 6, r#"{"ORDER_ID":"x"}"#));
        assert!(
            misfit.contains("error | payload.after.ORDER_ID | SCHEMA_MISMATCH: column ORDER_ID"),
            "{misfit}"
        );
        assert!(explain("").ends_with("nothing: a message of this kind changes no row"), "{}", explain(""));
    }

    #[pg_test]
    fn a_promoted_field_moves_to_its_column_and_later_events_fill_it() {
        preset();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"GIFT":1,"SHIPPED":1700000000000}"#));
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":2,"NOTE":"x"}"#));
        apply();
        assert_eq!(one::<i64>("select cdc.promote_column('cdc_orders', 'GIFT', 'boolean')"), Some(1));
        let promote = "select cdc.promote_column('cdc_orders', 'SHIPPED', 'timestamp', 'shipped_at')";
        assert_eq!(one::<i64>(promote), Some(1));
        ingest(ORDERS, &order("c", 3, r#"{"ORDER_ID":3,"GIFT":false,"SHIPPED":1700000001000}"#));
        apply();
        let rows = "select string_agg(concat_ws(' ', order_id, gift, shipped_at, extra_fields), ', ' order by order_id)
            from cdc_orders";
        assert_eq!(
            one::<String>(rows).unwrap(),
            r#"1 t 2023-11-14 22:13:20, 2 {"NOTE": "x"}, 3 f 2023-11-14 22:13:21"#
        );
    }

    #[pg_test]
    fn a_promoted_field_keeps_its_position() {
        preset();
        ingest(ORDERS, &order("u", 5, r#"{"ORDER_ID":1,"NOTE":"new"}"#));
        apply();
        Spi::run("select cdc.promote_column('cdc_orders', 'NOTE', 'text')").unwrap();
        ingest(ORDERS, &order("c", 4, r#"{"ORDER_ID":1,"NOTE":"old","STATUS":"old"}"#));
        apply();
        assert_eq!(one::<String>("select note || ' ' || status from cdc_orders").unwrap(), "new old");
    }

    #[pg_test(error = "a value does not fit the column: expected a bigint, found x")]
    fn a_field_with_other_values_is_not_promoted() {
        preset();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"GIFT":"x"}"#));
        apply();
        Spi::run("select cdc.promote_column('cdc_orders', 'GIFT', 'bigint')").unwrap();
    }
}
