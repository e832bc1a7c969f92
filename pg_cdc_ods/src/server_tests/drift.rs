//! Schema drift inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    #[pg_test]
    fn new_missing_and_retyped_columns_are_recorded_once_with_their_first_event() {
        preset();
        let rows = [
            r#"{"ORDER_ID":1,"STATUS":"a","TOTAL_AMOUNT":1,"NOTE":"x"}"#,
            r#"{"ORDER_ID":2,"STATUS":"a","TOTAL_AMOUNT":"2","GIFT":true}"#,
            r#"{"ORDER_ID":3,"STATUS":"a","TOTAL_AMOUNT":3,"GIFT":false}"#,
        ];
        for (scn, row) in (1..).zip(rows) {
            ingest(ORDERS, &order("c", scn, row));
            apply();
        }
        let history: Option<String> = one(
            "select string_agg(format('%s %s %s>%s %s', change, column_name, old_type,
            new_type, h.seq - i.first), ', ' order by id)
            from cdc.schema_history h, (select min(seq) as first from cdc.inbox) i where source = '*.ORDERS'",
        );
        assert_eq!(
            history.unwrap(),
            "new NOTE >string 0, retyped TOTAL_AMOUNT number>string 1, new GIFT >boolean 1, missing NOTE > 1"
        );
    }

    /// Attaches orders to `t`, a table with an id and a status.
    fn attach(on_unknown: &str) {
        Spi::run("create table t (order_id bigint primary key, status text, quantity smallint)").unwrap();
        Spi::run(&format!("select cdc.attach('SALES.ORDERS', 't', on_unknown => '{on_unknown}')")).unwrap();
    }

    fn orders(rows: &[&str]) {
        for (scn, row) in (1..).zip(rows) {
            ingest(ORDERS, &order("c", scn, row));
        }
        apply();
    }

    /// The rows of `t` as JSON, without bookkeeping.
    fn rows() -> String {
        one("select string_agg((jsonb_strip_nulls(to_jsonb(t)) - 'source_op' - 'source_ts' - 'source_pos'
            - 'processed_at')::text, ' ' order by order_id) from t")
        .unwrap()
    }

    #[pg_test]
    fn s1_a_new_column_is_kept_in_extra_fields_or_added() {
        alone();
        attach("overflow");
        orders(&[r#"{"ORDER_ID":1,"GIFT":true}"#]);
        assert_eq!(rows(), r#"{"order_id": 1, "extra_fields": {"GIFT": true}}"#);
        Spi::run("select cdc.attach('SALES.ORDERS', 't', on_unknown => 'alter')").unwrap();
        orders(&[r#"{"ORDER_ID":2,"GIFT":true}"#]);
        assert_eq!(one::<bool>("select gift from t where order_id = 2"), Some(true));
    }

    #[pg_test]
    fn s2_a_removed_column_is_null() {
        alone();
        attach("overflow");
        orders(&[r#"{"ORDER_ID":1,"STATUS":"a"}"#, r#"{"ORDER_ID":2}"#]);
        assert_eq!(rows(), r#"{"status": "a", "order_id": 1} {"order_id": 2}"#);
    }

    #[pg_test]
    fn s3_several_columns_at_once_are_added_with_the_types_that_hold_all_values() {
        alone();
        attach("alter");
        orders(&[
            r#"{"ORDER_ID":1,"PRICE":5,"DUE":"2026-01-31","TAGS":["a"],"NOTE":null}"#,
            r#"{"ORDER_ID":2,"PRICE":5.25,"DUE":null,"TAGS":[],"NOTE":"x"}"#,
        ]);
        let types = "select string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' order by attname)
            from pg_attribute where attrelid = 't'::regclass and attname in ('price', 'due', 'tags', 'note')";
        assert_eq!(one::<String>(types).unwrap(), "due date, note text, price numeric, tags jsonb");
        let row = r#"{"due": "2026-01-31", "tags": ["a"], "price": 5, "order_id": 1}"#;
        assert!(rows().starts_with(row), "{}", rows());
    }

    #[pg_test]
    fn s4_a_safe_change_of_type_is_converted() {
        alone();
        attach("overflow");
        orders(&[r#"{"ORDER_ID":"100","STATUS":7}"#]);
        assert_eq!(rows(), r#"{"status": "7", "order_id": 100}"#);
    }

    #[pg_test]
    fn s5_nested_json_is_jsonb() {
        alone();
        attach("alter");
        orders(&[r#"{"ORDER_ID":1,"ADDRESS":{"zip":"1","lines":["x"]}}"#]);
        assert_eq!(one::<String>("select address->'lines'->>0 from t").unwrap(), "x");
    }

    #[pg_test]
    fn s6_orders_are_enriched_whatever_columns_their_sources_gain_and_lose() {
        preset();
        let customer = r#"{"op":"c","source":{"scn":"1"},"after":{"CUSTOMER_ID":7,"FIRST_NAME":"Ann","LAST_NAME":"Lee","TIER":"GOLD"}}"#;
        ingest("cdc/oracle/SALES/CUSTOMERS/insert", customer);
        orders(&[r#"{"ORDER_ID":1,"CUSTOMER_ID":7,"STATUS":"new","TOTAL_AMOUNT":5}"#]);
        let grown = r#"{"op":"u","source":{"scn":"2"},"after":{"CUSTOMER_ID":7,"FIRST_NAME":"Ann","LAST_NAME":"Lee","TIER":"GOLD","VIP":true}}"#;
        ingest("cdc/oracle/SALES/CUSTOMERS/update", grown);
        ingest(
            ORDERS,
            &order("u", 5, r#"{"ORDER_ID":1,"CUSTOMER_ID":"7","TOTAL_AMOUNT":6,"GIFT":{"wrap":"red"}}"#),
        );
        apply();
        let row = "select concat_ws(' ', customer_name, customer_tier, status, total_amount) from cdc_orders_enriched";
        assert_eq!(one::<String>(row).unwrap(), "Ann Lee GOLD new 6.00");
        assert_eq!(one::<i64>("select count(*) from cdc.schema_history where change = 'new'"), Some(2));
    }

    #[pg_test]
    fn a_renamed_column_is_a_missing_and_a_new_one() {
        alone();
        attach("overflow");
        orders(&[r#"{"ORDER_ID":1,"STATUS":"a"}"#, r#"{"ORDER_ID":2,"STATE":"b"}"#]);
        let history =
            "select string_agg(change || ' ' || column_name, ', ' order by id) from cdc.schema_history";
        assert_eq!(one::<String>(history).unwrap(), "new STATE, missing STATUS");
        assert!(rows().contains(r#"{"STATE": "b"}"#), "{}", rows());
    }

    #[pg_test]
    fn a_column_is_widened_where_columns_may_be_altered_and_else_the_event_is_a_dead_letter() {
        alone();
        attach("overflow");
        orders(&[r#"{"ORDER_ID":1,"QUANTITY":100000}"#]);
        let letter = "select concat_ws(' ', error_type, error_detail, error_message) from cdc.dlq";
        let expected =
            "SCHEMA_MISMATCH payload.after.QUANTITY column QUANTITY: expected a smallint, found 100000";
        assert_eq!(one::<String>(letter).unwrap(), expected);
        Spi::run("select cdc.attach('SALES.ORDERS', 't', on_unknown => 'alter')").unwrap();
        assert_eq!(one::<i64>("select resolved from cdc.dlq_replay()"), Some(1));
        assert_eq!(one::<i32>("select quantity from t"), Some(100_000));
    }

    #[pg_test]
    fn unknown_columns_can_be_refused() {
        alone();
        attach("reject");
        orders(&[r#"{"ORDER_ID":1,"GIFT":true}"#]);
        assert_eq!(
            one::<String>("select error_message from cdc.dlq").unwrap(),
            "columns unknown to the target: GIFT"
        );
    }

    #[pg_test]
    fn a_target_that_does_not_exist_is_created_from_the_first_events() {
        alone();
        Spi::run("select cdc.attach('SALES.ORDERS', 'public.made', array['order_id'])").unwrap();
        orders(&[
            r#"{"ORDER_ID":1,"AMOUNT":12.5,"MADE":"2026-01-31T10:00:00"}"#,
            r#"{"ORDER_ID":2,"GIFT":1}"#,
        ]);
        let row = "select concat_ws(' ', amount, made, source_op) from made where order_id = 1";
        assert_eq!(one::<String>(row).unwrap(), "12.5 2026-01-31 10:00:00 c");
        assert_eq!(one::<String>("select key::text from cdc.attachments").unwrap(), "{order_id}");
    }

    #[pg_test]
    fn sources_attach_themselves_where_the_settings_say_in_whose_name() {
        alone();
        orders(&[r#"{"ORDER_ID":1}"#]);
        assert_eq!(one::<String>("select error_type from cdc.dlq").unwrap(), "UNKNOWN_SOURCE");
        Spi::run("create role ods in role cdc_admin; grant create on schema public to ods").unwrap();
        Spi::run("set pg_cdc_ods.auto_attach = 'ods'; set pg_cdc_ods.auto_attach_key = 'id, order_id'")
            .unwrap();
        assert_eq!(one::<i64>("select resolved from cdc.dlq_replay()"), Some(1));
        let made = "select order_id || ' ' || tableowner from orders, pg_tables where tablename = 'orders'";
        assert_eq!(one::<String>(made).unwrap(), "1 ods");
    }

    #[pg_test]
    fn a_truncate_removes_what_is_older_for_good() {
        preset();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1}"#));
        ingest(ORDERS, &order("c", 5, r#"{"ORDER_ID":5}"#));
        apply();
        ingest(ORDERS, &order("t", 3, "null"));
        apply();
        ingest(ORDERS, &order("u", 2, r#"{"ORDER_ID":2}"#));
        apply();
        assert_eq!(one::<String>("select string_agg(order_id::text, ',') from cdc_orders").unwrap(), "5");
    }

    #[pg_test]
    fn a_truncate_that_comes_late_clears_what_is_older_in_a_newer_row() {
        preset();
        ingest(
            ORDERS,
            &order("c", 1, r#"{"ORDER_ID":1,"CUSTOMER_ID":5,"A":1,"SHIPPING_INFO":"<o><item/></o>"}"#),
        );
        ingest(ORDERS, &order("u", 5, r#"{"ORDER_ID":1,"STATUS":"new","B":5}"#));
        apply();
        ingest(ORDERS, &order("t", 3, "null"));
        apply();
        let row = "select row(status, customer_id, extra_fields, source_op)::text from cdc_orders";
        assert_eq!(one::<String>(row).unwrap(), r#"(new,,"{""B"": 5}",u)"#);
        assert_eq!(one::<i64>("select count(*) from cdc_order_items_extracted"), Some(0));
    }

    #[pg_test]
    fn with_soft_deletes_a_truncate_marks_what_is_older_even_if_that_comes_late() {
        preset();
        Spi::run("select cdc.attach('*.ORDERS', 'cdc_orders', on_delete => 'soft')").unwrap();
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":1,"STATUS":"newer"}"#));
        ingest(ORDERS, &order("t", 3, "null"));
        apply();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"STATUS":"older"}"#));
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":2,"STATUS":"late"}"#));
        ingest(ORDERS, &order("c", 4, r#"{"ORDER_ID":3,"STATUS":"new"}"#));
        apply();
        let rows = "select string_agg(status || ' ' || source_op, ', ' order by order_id) from cdc_orders";
        assert_eq!(one::<String>(rows).unwrap(), "newer t, late t, new c");
    }

    #[pg_test]
    fn where_deletes_are_ignored_truncates_are() {
        preset();
        Spi::run("select cdc.attach('*.ORDERS', 'cdc_orders', on_delete => 'ignore')").unwrap();
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1}"#));
        ingest(ORDERS, &order("t", 3, "null"));
        apply();
        assert_eq!(one::<i64>("select order_id from cdc_orders"), Some(1));
    }
}
