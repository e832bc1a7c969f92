//! The model, on streams small enough to be judged by eye.

use super::*;

/// The model after `payloads`, in this order.
fn model(payloads: &[String]) -> Model {
    let lines: Vec<String> = payloads
        .iter()
        .map(|payload| serde_json::json!({"topic": "cdc/oracle/SALES/T/x", "payload": payload}).to_string())
        .collect();
    Model::from_ndjson(lines.join("\n").as_bytes()).unwrap()
}

fn event(table: &str, scn: u64, op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"payload":{{"before":{before},"after":{after},"source":{{"schema":"SALES","table":"{table}","scn":"{scn}"}},"op":"{op}","ts_ms":1}}}}"#
    )
}

fn order(scn: u64, op: &str, id: i64, status: &str) -> String {
    event("ORDERS", scn, op, "{}", &format!(r#"{{"ORDER_ID":{id},"STATUS":"{status}"}}"#))
}

fn order_deleted(scn: u64, id: i64) -> String {
    event("ORDERS", scn, "d", &format!(r#"{{"ORDER_ID":{id}}}"#), "null")
}

/// The status and `source_op` of each order.
fn orders(model: &Model) -> Vec<(i64, &str, &str)> {
    model
        .table("cdc_orders")
        .iter()
        .map(|(key, row)| (*key, row.columns["status"].as_deref().unwrap(), row.source_op.as_str()))
        .collect()
}

/// The columns of the only row of `table`, without nulls, and its extra fields as text.
fn only_row(model: &Model, table: &str) -> (Vec<(String, String)>, String) {
    let rows = model.table(table);
    assert_eq!(rows.len(), 1);
    let row = rows.values().next().unwrap();
    let columns = row.columns.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    (columns.collect(), row.extra_fields.to_string())
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_highest_scn_wins_in_any_order() {
    let mut events =
        [order(9, "c", 1, "PENDING"), order(10, "u", 1, "CONFIRMED"), order(100, "u", 1, "SHIPPED")];
    assert_eq!(orders(&model(&events)), [(1, "SHIPPED", "u")]);
    events.reverse();
    assert_eq!(orders(&model(&events)), [(1, "SHIPPED", "u")]);
}

#[test]
fn duplicates_change_nothing() {
    let events = [order(1, "c", 1, "PENDING"), order(2, "u", 1, "CONFIRMED"), order(1, "c", 1, "PENDING")];
    assert_eq!(orders(&model(&events)), [(1, "CONFIRMED", "u")]);
}

#[test]
fn a_late_older_event_does_not_bring_a_deleted_row_back() {
    let events = [order(1, "c", 1, "PENDING"), order_deleted(3, 1), order(2, "u", 1, "CONFIRMED")];
    assert_eq!(orders(&model(&events)), []);
}

#[test]
fn a_row_created_after_its_delete_is_there() {
    let events = [order_deleted(3, 1), order(4, "c", 1, "PENDING")];
    assert_eq!(orders(&model(&events)), [(1, "PENDING", "c")]);
}

#[test]
fn an_update_of_an_unknown_key_makes_the_row_and_a_delete_of_one_nothing() {
    let events = [order(1, "u", 1, "SHIPPED"), order_deleted(2, 77)];
    assert_eq!(orders(&model(&events)), [(1, "SHIPPED", "u")]);
    assert!(model(&events).dead_letters().is_empty());
}

#[test]
fn scns_beyond_floating_point_are_compared_as_integers() {
    let above = (1 << 53) + 1;
    let events = [order(above, "u", 1, "SHIPPED"), order(above - 1, "u", 1, "CONFIRMED")];
    assert_eq!(orders(&model(&events)), [(1, "SHIPPED", "u")]);
}

#[test]
fn what_cannot_be_applied_is_a_dead_letter_byte_for_byte() {
    let good = order(1, "c", 1, "PENDING");
    let bad = [
        good[..good.len() - 3].to_owned(),
        "ORA-00600".to_owned(),
        "{}".to_owned(),
        event("ORDERS", 2, "c", "null", r#"{"ORDER_ID":"not a number"}"#),
        event("ORDERS", 2, "c", "null", r#"{"ORDER_ID":2,"TOTAL_AMOUNT":"much"}"#),
        event("ORDERS", 2, "c", "null", r#"{"STATUS":"PENDING"}"#),
        event("ORDERS", 2, "d", "{}", "null"),
        event("NOWHERE", 2, "c", "null", r#"{"ID":2}"#),
    ];
    let mut all = bad.to_vec();
    all.insert(3, good);
    let model = model(&all);
    assert_eq!(orders(&model), [(1, "PENDING", "c")]);
    assert_eq!(model.dead_letters(), bad.map(String::into_bytes));
}

#[test]
fn bytes_that_are_not_utf8_are_a_dead_letter() {
    let record = r#"{"topic":"t","payload_base64":"eyL/In0="}"#;
    let model = Model::from_ndjson(record.as_bytes()).unwrap();
    assert_eq!(model.dead_letters(), [b"{\"\xff\"}".to_vec()]);
}

#[test]
fn a_tombstone_says_nothing() {
    let model = model(&[order(1, "c", 1, "PENDING"), String::new()]);
    assert_eq!(orders(&model), [(1, "PENDING", "c")]);
    assert!(model.dead_letters().is_empty());
}

#[test]
fn an_order_keeps_drift_columns_and_leaves_its_xml_out() {
    let after = r#"{"ORDER_ID":1,"CUSTOMER_ID":2,"ORDER_DATE":"2026-01-02T03:04:05.100000","STATUS":"PENDING",
        "TOTAL_AMOUNT":12.30,"CREATED_AT":"2026-01-02T03:04:05.000000","UPDATED_AT":null,
        "SHIPPING_INFO":"<a/>","DISCOUNT_PERCENT":5.50,"PRIORITY":"HIGH"}"#;
    let model = model(&[event("ORDERS", 1, "c", "null", after)]);
    let (columns, extra_fields) = only_row(&model, "cdc_orders");
    let expected = texts(&[
        ("created_at", "2026-01-02 03:04:05"),
        ("customer_id", "2"),
        ("order_date", "2026-01-02 03:04:05.1"),
        ("order_id", "1"),
        ("status", "PENDING"),
        ("total_amount", "12.30"),
    ]);
    assert_eq!(columns, expected);
    assert_eq!(extra_fields, r#"{"DISCOUNT_PERCENT": 5.50, "PRIORITY": "HIGH"}"#);
}

#[test]
fn an_item_keeps_its_times_as_extra_fields() {
    let after = r#"{"ITEM_ID":1,"ORDER_ID":2,"PRODUCT_ID":3,"QUANTITY":4,"UNIT_PRICE":2.50,"SUBTOTAL":10.00,
        "CREATED_AT":"2026-01-02T03:04:05.000000"}"#;
    let model = model(&[event("ORDER_ITEMS", 1, "c", "null", after)]);
    let (columns, extra_fields) = only_row(&model, "cdc_order_items");
    let expected = texts(&[
        ("item_id", "1"),
        ("order_id", "2"),
        ("product_id", "3"),
        ("quantity", "4"),
        ("subtotal", "10.00"),
        ("unit_price", "2.50"),
    ]);
    assert_eq!(columns, expected);
    assert_eq!(extra_fields, r#"{"CREATED_AT": "2026-01-02T03:04:05.000000"}"#);
}

#[test]
fn what_an_update_leaves_out_stays() {
    let events = [
        event(
            "ORDERS",
            1,
            "c",
            "null",
            r#"{"ORDER_ID":1,"STATUS":"PENDING","TOTAL_AMOUNT":5,"PRIORITY":"LOW",
            "SHIPPING_INFO":"<o><item quantity=\"2\"/></o>"}"#,
        ),
        event("ORDERS", 3, "u", "null", r#"{"ORDER_ID":1,"TOTAL_AMOUNT":7,"SALES_CHANNEL":"WEB"}"#),
        event("ORDERS", 2, "u", "null", r#"{"ORDER_ID":1,"STATUS":"SHIPPED"}"#),
    ];
    let model = model(&events);
    let (columns, extra_fields) = only_row(&model, "cdc_orders");
    assert_eq!(columns, texts(&[("order_id", "1"), ("status", "SHIPPED"), ("total_amount", "7.00")]));
    assert_eq!(extra_fields, r#"{"PRIORITY": "LOW", "SALES_CHANNEL": "WEB"}"#);
    let items = Children::from(["1 SHIPPING_INFO 1: null, 2, null, null".to_owned()]);
    assert_eq!(
        model.child_tables().find(|(name, _)| *name == "cdc_order_items_extracted").unwrap().1,
        &items
    );
}

#[test]
fn child_rows_go_with_their_row_and_with_their_document() {
    let order = |scn, document| {
        event("ORDERS", scn, "u", "null", &format!(r#"{{"ORDER_ID":1,"ORDER_DETAILS":{document}}}"#))
    };
    let document = r#""<o><item quantity=\"2\"/></o>""#;
    for last in [order(2, "null"), order_deleted(2, 1)] {
        assert!(model(&[order(1, document), last]).child_tables().all(|(_, rows)| rows.is_empty()));
    }
}

#[test]
fn differences_of_child_tables_show_the_rows() {
    let children = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Children>();
    let differences =
        diff_children(&children(&["1 A 1: x", "1 A 2: y"]), &children(&["1 A 1: x", "1 A 2: z"]));
    assert_eq!(differences, ["missing: 1 A 2: y", "should not be there: 1 A 2: z"]);
}

#[test]
fn a_customer_has_one_name_and_a_region() {
    let newer =
        r#"{"CUSTOMER_ID":1,"FIRST_NAME":"Zoë","LAST_NAME":"O'Brien","CITY":"Berlin","COUNTRY":"DE"}"#;
    let older = r#"{"CUSTOMER_ID":1,"NAME":"Zoë O'Brien","REGION":"Berlin","COUNTRY":"DE"}"#;
    for after in [newer, older] {
        let model = model(&[event("CUSTOMERS", 1, "c", "null", after)]);
        let (columns, extra_fields) = only_row(&model, "cdc_customers");
        let expected = texts(&[("customer_id", "1"), ("name", "Zoë O'Brien"), ("region", "Berlin")]);
        assert_eq!(columns, expected);
        assert_eq!(extra_fields, r#"{"COUNTRY": "DE"}"#);
    }
}

#[test]
fn a_product_is_active_by_its_status_or_its_flag() {
    let cases = [
        (r#""STOCK_QUANTITY":5,"STATUS":"ACTIVE""#, "t", r#"{"STATUS": "ACTIVE"}"#),
        (r#""STOCK_QUANTITY":5,"STATUS":"DISCONTINUED""#, "f", r#"{"STATUS": "DISCONTINUED"}"#),
        (r#""STOCK_QTY":5,"IS_ACTIVE":1"#, "t", "{}"),
        (r#""STOCK_QTY":5,"IS_ACTIVE":0"#, "f", "{}"),
    ];
    for (members, is_active, expected_extra_fields) in cases {
        let model = model(&[event("PRODUCTS", 1, "c", "null", &format!(r#"{{"PRODUCT_ID":1,{members}}}"#))]);
        let (columns, extra_fields) = only_row(&model, "cdc_products");
        assert_eq!(columns, texts(&[("is_active", is_active), ("product_id", "1"), ("stock_qty", "5")]));
        assert_eq!(extra_fields, expected_extra_fields);
    }
}

#[test]
fn an_audit_entry_is_renamed() {
    let after = r#"{"LOG_ID":1,"ACTION":"LOGIN","ENTITY_TYPE":"ORDER","ENTITY_ID":42,"USER_ID":"user_7",
        "DETAILS":"{\"a\": 1}","IP_ADDRESS":"10.0.0.1","CREATED_AT":"2026-01-02T03:04:05.000000"}"#;
    let model = model(&[event("AUDIT_LOG", 1, "c", "null", after)]);
    let (columns, extra_fields) = only_row(&model, "cdc_audit_log");
    let expected = texts(&[
        ("changed_at", "2026-01-02 03:04:05"),
        ("changed_by", "user_7"),
        ("event_type", "LOGIN"),
        ("log_id", "1"),
        ("record_id", "42"),
        ("table_name", "ORDER"),
    ]);
    assert_eq!(columns, expected);
    assert_eq!(extra_fields, r#"{"DETAILS": "{\"a\": 1}", "IP_ADDRESS": "10.0.0.1"}"#);
}

#[test]
fn differences_name_key_column_and_both_values() {
    let expected =
        model(&[order(1, "c", 1, "PENDING"), order(1, "c", 2, "PENDING"), order(1, "c", 4, "PENDING")]);
    let actual =
        model(&[order(1, "u", 2, "SHIPPED"), order(1, "c", 3, "PENDING"), order(1, "c", 4, "PENDING")]);
    let differences = diff(expected.table("cdc_orders"), actual.table("cdc_orders"));
    let wanted = [
        "key 1: missing, last op c",
        "key 2: status: expected \"PENDING\", found \"SHIPPED\"",
        "key 2: source_op: expected c, found u",
        "key 3: should not be there, last op c",
    ];
    assert_eq!(differences, wanted);
}

#[test]
fn the_list_of_differences_is_bounded() {
    let expected = model(&(1..=50).map(|id| order(1, "c", id, "PENDING")).collect::<Vec<_>>());
    let differences = diff(expected.table("cdc_orders"), &Rows::new());
    assert_eq!(differences.len(), 21);
    assert_eq!(differences[20], "and 30 more differences");
}
