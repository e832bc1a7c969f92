//! From events to rows inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    #[pg_test]
    fn an_event_becomes_a_row_with_its_overflow_and_bookkeeping() {
        preset();
        ingest(
            ORDERS,
            &order("c", 7, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":12.30,"STATUS":"PENDING","GIFT":true}"#),
        );
        assert_eq!(apply(), 1);
        let row: Option<String> =
            one("select row(order_id, customer_id, total_amount, status, extra_fields, source_op,
            source_ts at time zone 'UTC')::text from cdc_orders");
        assert_eq!(row.unwrap(), r#"(1,,12.30,PENDING,"{""GIFT"": true}",c,"2023-11-14 22:13:20")"#);
    }

    #[pg_test]
    fn the_newest_position_wins_whatever_the_order() {
        preset();
        ingest(
            ORDERS,
            &order(
                "u",
                9,
                r#"{"ORDER_ID":1,"STATUS":"new","TOTAL_AMOUNT":1,"CUSTOMER_ID":1,"ORDER_DATE":null,"CREATED_AT":null,"UPDATED_AT":null}"#,
            ),
        );
        apply();
        ingest(ORDERS, &order("c", 8, r#"{"ORDER_ID":1,"STATUS":"old"}"#));
        apply();
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "new");
    }

    #[pg_test]
    fn a_late_older_event_does_not_bring_a_deleted_row_back() {
        preset();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"a"}"#));
        apply();
        ingest(ORDERS, &order("d", 3, r#"{"ORDER_ID":1}"#));
        apply();
        ingest(ORDERS, &order("u", 2, r#"{"ORDER_ID":1,"STATUS":"b"}"#));
        apply();
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(0));
        ingest(ORDERS, &order("c", 4, r#"{"ORDER_ID":1,"STATUS":"c"}"#));
        apply();
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "c");
    }

    #[pg_test]
    fn what_is_not_sent_by_an_update_stays() {
        preset();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"a","CUSTOMER_ID":5,"GIFT":1}"#));
        ingest(
            ORDERS,
            &order("u", 2, r#"{"ORDER_ID":1,"STATUS":"__debezium_unavailable_value","TOTAL_AMOUNT":3}"#),
        );
        apply();
        let row: Option<String> =
            one("select row(status, customer_id, total_amount, extra_fields)::text from cdc_orders");
        assert_eq!(row.unwrap(), r#"(a,5,3.00,"{""GIFT"": 1}")"#);
    }

    #[pg_test]
    fn a_whole_row_that_comes_late_fills_what_a_newer_update_left_out() {
        preset();
        ingest(ORDERS, &order("u", 3, r#"{"ORDER_ID":1,"STATUS":"new","B":3}"#));
        apply();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"old","CUSTOMER_ID":5,"A":1,"B":1}"#));
        apply();
        let row = "select row(status, customer_id, extra_fields, source_op)::text from cdc_orders";
        assert_eq!(one::<String>(row).unwrap(), r#"(new,5,"{""A"": 1, ""B"": 3}",u)"#);
        ingest(ORDERS, &order("d", 2, r#"{"ORDER_ID":1}"#));
        apply();
        assert_eq!(one::<String>(row).unwrap(), r#"(new,,"{""B"": 3}",u)"#);
        ingest(ORDERS, &order("c", 4, r#"{"ORDER_ID":1,"STATUS":"whole"}"#));
        apply();
        assert_eq!(one::<String>(row).unwrap(), "(whole,,,c)");
        assert_eq!(one::<i64>("select count(*) from cdc.column_positions"), Some(0));
    }

    #[pg_test]
    fn one_bad_message_stops_nothing_and_is_kept_byte_for_byte() {
        preset();
        ingest(ORDERS, "{\"payload\": {\"op\"");
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":"x"}"#));
        ingest("cdc/oracle/SALES/OTHER/insert", r#"{"op":"c","after":{"A":1}}"#);
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":2,"STATUS":"good"}"#));
        assert_eq!(apply(), 4);
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "good");
        let types: Option<String> = one("select string_agg(error_type, ',' order by seq) from cdc.dlq");
        assert_eq!(types.unwrap(), "MALFORMED_JSON,SCHEMA_MISMATCH,UNKNOWN_SOURCE");
        let payload: Option<Vec<u8>> = one("select payload from cdc.dlq order by seq limit 1");
        assert_eq!(payload.unwrap(), b"{\"payload\": {\"op\"");
        let detail: Option<String> = one("select error_detail from cdc.dlq order by seq offset 1 limit 1");
        assert_eq!(detail.unwrap(), "payload.after.ORDER_ID");
    }

    #[pg_test]
    fn a_row_that_breaks_a_constraint_does_not_fail_its_neighbours() {
        preset();
        Spi::run("alter table cdc_orders add check (total_amount < 100)").unwrap();
        for id in 1..=9 {
            let amount = if id == 4 { 1000 } else { id };
            ingest(ORDERS, &order("c", id, &format!(r#"{{"ORDER_ID":{id},"TOTAL_AMOUNT":{amount}}}"#)));
        }
        apply();
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(8));
        let letter: Option<String> =
            one("select error_type || ' ' || (payload_json#>>'{payload,after,ORDER_ID}') from cdc.dlq");
        assert_eq!(letter.unwrap(), "CONSTRAINT_VIOLATION 4");
    }

    #[pg_test]
    fn a_change_that_is_refused_does_not_hide_the_one_before_it() {
        preset();
        Spi::run("alter table cdc_orders add check (total_amount < 100)").unwrap();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":1}"#));
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":2}"#));
        for _duplicate in 0..2 {
            ingest(ORDERS, &order("c", 3, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":1000}"#));
        }
        apply();
        assert_eq!(one::<String>("select total_amount::text from cdc_orders").unwrap(), "2.00");
        assert_eq!(one::<i64>("select count(*) from cdc.dlq"), Some(1));
    }

    #[pg_test]
    fn a_batch_limit_leaves_the_rest_for_later() {
        preset();
        for id in 1..=5 {
            ingest(ORDERS, &order("c", id, &format!(r#"{{"ORDER_ID":{id}}}"#)));
        }
        assert_eq!(one::<i64>("select events from cdc.apply(2)"), Some(2));
        assert_eq!(one::<i64>("select pending from cdc.stat_streams"), Some(3));
        assert_eq!(one::<bool>("select cdc.flush()"), Some(true));
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(5));
        assert_eq!(one::<i64>("select pending from cdc.stat_streams"), Some(0));
    }

    #[pg_test]
    fn messages_that_change_nothing_are_counted_and_are_no_dead_letters() {
        preset();
        ingest("__debezium-heartbeat.oracle", r#"{"ts_ms":1700000000000}"#);
        ingest(
            "oracle.transaction",
            r#"{"status":"BEGIN","id":"1","ts_ms":1,"event_count":null,"data_collections":null}"#,
        );
        ingest(ORDERS, "");
        apply();
        let counts = "select row(applied, controls, dead_lettered)::text from cdc.stat_streams";
        assert_eq!(one::<String>(counts).unwrap(), "(3,3,0)");
    }

    #[pg_test(error = "applying is paused")]
    fn a_paused_inbox_is_not_applied() {
        alone();
        Spi::run("select cdc.pause()").unwrap();
        apply();
    }

    #[pg_test]
    fn a_target_may_be_given_as_a_table() {
        alone();
        Spi::run(r#"create table "Odd.name" (order_id bigint primary key)"#).unwrap();
        Spi::run(r#"select cdc.attach('SALES.ORDERS', 'public."Odd.name"'::regclass)"#).unwrap();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1}"#));
        apply();
        assert_eq!(one::<i64>(r#"select order_id from "Odd.name""#), Some(1));
    }

    #[pg_test(error = "invalid value for argument \"key\": \"nope\"")]
    fn attach_names_the_argument_that_is_wrong() {
        preset();
        Spi::run("select cdc.attach('A.B', 'cdc_orders', array['nope'])").unwrap();
    }

    #[pg_test]
    fn customers_and_products_follow_their_column_rules() {
        preset();
        ingest(
            "cdc/oracle/SALES/CUSTOMERS/insert",
            r#"{"op":"c","source":{"scn":"1"},"after":{"CUSTOMER_ID":1,"FIRST_NAME":"Ann","LAST_NAME":"Lee","CITY":"Rom","TIER":"GOLD"}}"#,
        );
        ingest(
            "cdc/oracle/HR/CUSTOMERS/insert",
            r#"{"op":"c","source":{"scn":"1"},"after":{"CUSTOMER_ID":2,"NAME":"Bo","REGION":"EU"}}"#,
        );
        ingest(
            "cdc/oracle/SALES/PRODUCTS/insert",
            r#"{"op":"c","source":{"scn":"1"},"after":{"PRODUCT_ID":1,"STATUS":"INACTIVE","STOCK_QUANTITY":4}}"#,
        );
        apply();
        let customers: Option<String> = one(
            "select string_agg(concat_ws('/', name, region, tier), ',' order by customer_id) from cdc_customers",
        );
        assert_eq!(customers.unwrap(), "Ann Lee/Rom/GOLD,Bo/EU");
        let product: Option<String> =
            one("select row(stock_qty, is_active, extra_fields)::text from cdc_products");
        assert_eq!(product.unwrap(), r#"(4,f,"{""STATUS"": ""INACTIVE""}")"#);
    }

    #[pg_test]
    fn a_row_that_somebody_has_removed_for_good_comes_again() {
        preset();
        let rows = "select row(order_id, status, total_amount)::text from cdc_orders";
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"a"}"#));
        ingest(ORDERS, &order("u", 2, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":2}"#));
        apply();
        Spi::run("delete from cdc_orders").unwrap();
        ingest(ORDERS, &order("r", 4, r#"{"ORDER_ID":1,"STATUS":"whole"}"#));
        apply();
        ingest(ORDERS, &order("u", 3, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":3}"#));
        apply();
        assert_eq!(
            one::<String>(rows).as_deref(),
            Some("(1,whole,)"),
            "nothing is left of what was known of the old row"
        );
    }

    #[pg_test]
    fn rows_without_a_position_do_not_hide_a_delete() {
        preset();
        let rows = "select row(order_id, status, total_amount)::text from cdc_orders";
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"a"}"#));
        ingest(ORDERS, &order("d", 5, r#"{"ORDER_ID":1}"#));
        apply();
        Spi::run("insert into cdc_orders (order_id, status) values (1, 'by hand')").unwrap();
        ingest(ORDERS, &order("u", 3, r#"{"ORDER_ID":1,"STATUS":"late"}"#));
        apply();
        assert_eq!(one::<String>(rows).as_deref(), Some(r#"(1,"by hand",)"#));
    }
}
