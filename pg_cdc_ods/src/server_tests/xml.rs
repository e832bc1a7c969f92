//! XML documents inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    /// Applies a change of order 1; `document` is the raw JSON of its column.
    fn order_with(op: &str, scn: u64, status: &str, document: &str) {
        let after = format!(r#"{{"ORDER_ID":1,"STATUS":"{status}"{document}}}"#);
        ingest(ORDERS, &order(op, scn, &after));
        apply();
    }

    fn shipping(items: &str) -> String {
        let document = format!("<shipping_info><items>{items}</items></shipping_info>");
        format!(",\"SHIPPING_INFO\":{}", serde_json::Value::from(document))
    }

    fn items(quantities: &[u32]) -> String {
        let item =
            |quantity: &u32| format!(r#"<item product_id="7" quantity="{quantity}" unit_price="1.50"/>"#);
        shipping(&quantities.iter().map(item).collect::<String>())
    }

    /// The lines of order 1 as `line:quantity=subtotal`.
    fn lines() -> String {
        one("select coalesce(string_agg(format('%s:%s=%s', line_no, quantity, subtotal), ' ' order by line_no), '')
            from cdc_order_items_extracted where order_id = 1 and extracted_from = 'SHIPPING_INFO'")
        .unwrap()
    }

    fn letters() -> i64 {
        one("select count(*) from cdc.dlq where status <> 'resolved'").unwrap()
    }

    #[pg_test]
    fn x1_a_document_becomes_rows() {
        preset();
        order_with("c", 1, "new", &items(&[1, 2, 3]));
        assert_eq!(lines(), "1:1=1.50 2:2=3.00 3:3=4.50");
    }

    #[pg_test]
    fn x2_and_x7_an_empty_document_or_none_at_all_has_no_rows() {
        preset();
        order_with("c", 1, "new", &shipping(""));
        order_with("u", 2, "new", ",\"SHIPPING_INFO\":null");
        order_with("u", 3, "new", ",\"SHIPPING_INFO\":\"  \"");
        assert_eq!((lines().as_str(), letters()), ("", 0));
    }

    #[pg_test]
    fn x3_a_malformed_document_is_a_dead_letter_and_its_order_is_applied() {
        preset();
        order_with("c", 1, "new", &items(&[1]));
        order_with("u", 2, "paid", ",\"SHIPPING_INFO\":\"<items><item\"");
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "paid");
        assert_eq!((lines().as_str(), letters()), ("1:1=1.50", 1));
        let letter = "select error_type || ' ' || error_detail from cdc.dlq";
        assert_eq!(one::<String>(letter).unwrap(), "MALFORMED_XML payload.after.SHIPPING_INFO");
    }

    #[pg_test]
    fn x4_a_missing_attribute_is_null() {
        preset();
        order_with("c", 1, "new", &shipping("<item product_id='7' unit_price='1'/>"));
        assert_eq!(lines(), "1:=");
    }

    #[pg_test]
    fn x5_nested_rows_go_to_a_second_table() {
        alone();
        Spi::run("create table o (order_id bigint primary key)").unwrap();
        Spi::run(
            r#"select cdc.attach('SALES.ORDERS', 'o');
               select cdc.extract_xml('SALES.ORDERS', 'DOC', 'o_items', 'items/item', '{
                   "sku": "@sku", "o_tags": {"row_path": "tag", "columns": {"tag": "text()"}}}')"#,
        )
        .unwrap();
        let document = "<d><items><item sku='a'><tag>x</tag><tag>y</tag></item><item sku='b'/></items></d>";
        order_with("c", 1, "new", &format!(",\"DOC\":\"{document}\""));
        assert_eq!(
            one::<String>("select string_agg(line_no || sku, ' ' order by line_no) from o_items").unwrap(),
            "1a 2b"
        );
        let tags = "select string_agg(concat(parent_line_no, tag, extracted_from), ' ' order by line_no) from o_tags";
        assert_eq!(one::<String>(tags).unwrap(), "1xDOC 1yDOC");
    }

    #[pg_test]
    fn x6_a_hundred_items_and_more_are_replaced_by_fewer() {
        preset();
        order_with("c", 1, "new", &items(&(1..=150).collect::<Vec<_>>()));
        assert_eq!(one::<i64>("select count(*) from cdc_order_items_extracted"), Some(150));
        order_with("u", 2, "new", &items(&[9]));
        assert_eq!(lines(), "1:9=13.50");
    }

    #[pg_test]
    fn x8_texts_keep_their_letters() {
        preset();
        let document =
            r#"<addresses><address type="billing"><street>Grüße &amp; 漢字</street></address></addresses>"#;
        let after = serde_json::json!({"CUSTOMER_ID": 1, "ADDRESSES": document});
        ingest("cdc/oracle/SALES/CUSTOMERS/insert", &format!(r#"{{"op":"c","after":{after}}}"#));
        apply();
        let row = "select address_type || ' ' || street from cdc_customer_addresses_extracted";
        assert_eq!(one::<String>(row).unwrap(), "billing Grüße & 漢字");
    }

    #[pg_test]
    fn rows_stay_when_an_update_leaves_the_document_out_and_go_with_their_order() {
        preset();
        order_with("c", 1, "new", &items(&[1]));
        order_with("u", 2, "paid", "");
        assert_eq!(lines(), "1:1=1.50");
        order_with("d", 3, "paid", "");
        assert_eq!(lines(), "");
    }

    #[pg_test]
    fn a_document_that_comes_late_fills_what_a_newer_update_left_out_and_nothing_else() {
        preset();
        order_with("u", 3, "paid", "");
        order_with("c", 1, "new", &items(&[1]));
        assert_eq!(lines(), "1:1=1.50");
        order_with("u", 2, "new", &items(&[2]));
        order_with("u", 1, "new", &items(&[1]));
        assert_eq!(lines(), "1:2=3.00");
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "paid");
    }

    #[pg_test]
    fn a_replay_fills_in_the_document_once_it_can_be_extracted() {
        preset();
        Spi::run("set pg_cdc_ods.xml_max_rows = 1").unwrap();
        order_with("c", 1, "new", &items(&[1, 2]));
        assert_eq!((lines().as_str(), letters()), ("", 1));
        Spi::run("reset pg_cdc_ods.xml_max_rows").unwrap();
        assert_eq!(one::<i64>("select resolved from cdc.dlq_replay()"), Some(1));
        assert_eq!((lines().as_str(), letters()), ("1:1=1.50 2:2=3.00", 0));
    }

    #[pg_test]
    fn rows_that_the_child_table_refuses_are_a_dead_letter_that_a_replay_mends() {
        preset();
        Spi::run("alter table cdc_order_items_extracted add constraint few check (quantity < 5)").unwrap();
        order_with("c", 1, "new", &items(&[9]));
        assert_eq!(one::<String>("select error_type from cdc.dlq").unwrap(), "CONSTRAINT_VIOLATION");
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(1));
        Spi::run("alter table cdc_order_items_extracted drop constraint few").unwrap();
        assert_eq!(one::<i64>("select resolved from cdc.dlq_replay()"), Some(1));
        assert_eq!(lines(), "1:9=13.50");
    }

    #[pg_test]
    fn an_event_fails_with_its_document_if_that_is_wanted() {
        alone();
        Spi::run("create table o (order_id bigint primary key)").unwrap();
        Spi::run(
            r#"select cdc.attach('SALES.ORDERS', 'o');
               select cdc.extract_xml('SALES.ORDERS', 'DOC', 'o_items', 'item', '{"sku": "@sku"}', 'fail', 'fail')"#,
        )
        .unwrap();
        order_with("c", 1, "new", ",\"DOC\":\"<d><item/></d>\"");
        assert_eq!(one::<i64>("select count(*) from o"), Some(0));
        let letter = one::<String>("select error_message from cdc.dlq").unwrap();
        assert!(letter.starts_with("row 1 has no value for column sku"), "{letter}");
    }

    #[pg_test(error = "invalid value for argument \"columns\": \"order_id\"")]
    fn a_mapping_may_not_fill_the_key() {
        preset();
        Spi::run(r#"select cdc.extract_xml('*.ORDERS', 'X', 'y', 'item', '{"order_id": "@a"}')"#).unwrap();
    }
}
