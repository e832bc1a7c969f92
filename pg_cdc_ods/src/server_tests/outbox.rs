//! Endpoints, alerts and routes inside a real server: what goes into the outbox, and who may say so.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::JsonB;
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, apply, ingest, one, order, preset};

    const ENDPOINT: &str = "select cdc.endpoint('shop', 'http://127.0.0.1:9/events')";

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn orders() {
        run(ENDPOINT);
        run("create table orders (order_id bigint primary key, amount numeric, tier text)");
    }

    /// An alert on orders of more than 100.
    fn large_orders() {
        orders();
        run("select cdc.alert('large', 'orders', 'amount > 100', 'LARGE_ORDER', 'HIGH',
                              'jsonb_build_object(''order_id'', order_id, ''amount'', amount)', 'shop')");
    }

    fn outbox() -> String {
        let sql = "select string_agg(concat_ws(' ', rule, key, body->'payload'->>'amount'), ', ' order by id) from cdc.outbox";
        one::<String>(sql).unwrap_or_default()
    }

    #[pg_test]
    fn an_alert_fires_once_until_its_condition_has_been_false_again() {
        large_orders();
        run("insert into orders values (1, 150), (2, 50)");
        run("update orders set amount = 160 where order_id = 1");
        assert_eq!(outbox(), "large public.orders:1 150");
        run("update orders set amount = 60 where order_id = 1");
        run("update orders set amount = 170 where order_id = 1");
        assert_eq!(outbox(), "large public.orders:1 150, large public.orders:1 170");
        run("delete from orders where order_id = 1; insert into orders values (1, 180)");
        assert_eq!(one::<i64>("select count(*) from cdc.outbox"), Some(3));
        run("truncate orders");
        assert_eq!(one::<i64>("select count(*) from cdc.alerts_firing"), Some(0));
    }

    #[pg_test]
    fn the_same_alert_on_tables_with_other_columns_is_none() {
        large_orders();
        run("create table returns (note text, amount numeric, order_id bigint primary key)");
        run("select cdc.alert('large returns', 'returns', 'amount > 100', 'LARGE_RETURN', 'HIGH',
                              'jsonb_build_object(''order_id'', order_id, ''amount'', amount)', 'shop')");
        run("insert into orders values (1, 150)");
        run("insert into returns values ('broken', 120, 1)");
        run("insert into orders values (2, 160)");
        let expected =
            "large public.orders:1 150, large returns public.returns:1 120, large public.orders:2 160";
        assert_eq!(outbox(), expected);
    }

    #[pg_test]
    fn alerts_are_told_of_whatever_number_of_keys_is_firing() {
        large_orders();
        run("insert into orders select n, 150 from generate_series(1, 20) n");
        // Fewer rows than keys that are firing, and more.
        run("update orders set amount = 50 where order_id <= 2");
        run("update orders set amount = 150 where order_id <= 2");
        run("insert into orders select n, 50 from generate_series(21, 60) n");
        run("update orders set amount = case when order_id > 5 then 150 else 50 end");
        assert_eq!(one::<i64>("select count(*) from cdc.outbox"), Some(20 + 2 + 40));
        let firing =
            "select count(*) filter (where key::bigint > 5) from cdc.alerts_firing having count(*) = 55";
        assert_eq!(one::<i64>(firing), Some(55));
        run("delete from orders where order_id <= 50");
        assert_eq!(one::<i64>("select count(*) from cdc.alerts_firing"), Some(10));
    }

    #[pg_test]
    fn an_alert_has_the_shape_of_a_notification() {
        large_orders();
        run("insert into orders values (1, 12345678901234567890.10)");
        let body = one::<JsonB>("select body - 'timestamp' from cdc.outbox").unwrap().0;
        let expected = r#"{"payload":{"amount":12345678901234567890.10,"order_id":1},"priority":"HIGH","notification_type":"LARGE_ORDER"}"#;
        assert_eq!(body, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        let digits = "select body->'payload'->>'amount' from cdc.outbox";
        assert_eq!(one::<String>(digits).unwrap(), "12345678901234567890.10");
        let time = "select (body->>'timestamp')::timestamptz between now() - interval '1 minute' and clock_timestamp() from cdc.outbox";
        assert_eq!(one::<bool>(time), Some(true));
    }

    #[pg_test]
    fn a_key_that_moves_away_is_forgotten() {
        large_orders();
        run("insert into orders values (1, 150)");
        run("update orders set order_id = 2");
        assert_eq!(one::<String>("select string_agg(key, ' ') from cdc.alerts_firing").unwrap(), "2");
    }

    #[pg_test]
    fn each_change_that_meets_the_condition_is_routed_as_an_event() {
        orders();
        run("select cdc.route('gold', 'orders', 'tier = ''GOLD''', 'endpoint:shop')");
        run("insert into orders values (1, 1, 'GOLD'), (2, 2, 'BRONZE')");
        run("update orders set amount = 3");
        run("delete from orders");
        let events = "select string_agg(concat_ws(' ', body->>'event_type', body->'data'->>'amount', body->'metadata'->>'source_table'),
                                        ', ' order by id) from cdc.outbox";
        assert_eq!(
            one::<String>(events).unwrap(),
            "ORDER_CREATED 1 orders, ORDER_UPDATED 3 orders, ORDER_DELETED 3 orders"
        );
        assert_eq!(
            one::<bool>("select bool_and(body->>'event_id' = event_id::text) from cdc.outbox"),
            Some(true)
        );
        assert_eq!(one::<i64>("select count(distinct event_id) from cdc.outbox"), Some(3));
    }

    #[pg_test]
    fn the_other_formats_have_the_shapes_of_their_paths() {
        orders();
        run(
            "select cdc.route('rows', 'orders', 'true', 'endpoint:shop', format => 'row', operations => '{insert}')",
        );
        run(
            "select cdc.route('changes', 'orders', 'true', 'endpoint:shop', format => 'change', payload => 'order_id')",
        );
        run("insert into orders values (1, 1, 'GOLD')");
        run("delete from orders");
        let bodies = "select string_agg(body::text, ' ' order by id) from cdc.outbox";
        assert_eq!(
            one::<String>(bodies).unwrap(),
            r#"{"data": 1, "table": "orders", "operation": "insert", "source_ts": null, "consumer_id": "pg_cdc_ods"} {"tier": "GOLD", "amount": 1, "order_id": 1} {"data": 1, "table": "orders", "operation": "delete", "source_ts": null, "consumer_id": "pg_cdc_ods"}"#
        );
    }

    #[pg_test]
    fn a_source_stands_for_the_table_that_it_feeds_and_a_batch_is_one_transaction_with_its_events() {
        preset();
        run(ENDPOINT);
        run("select cdc.route('orders', '*.ORDERS', 'true', 'endpoint:shop')");
        for id in [1, 2] {
            ingest(ORDERS, &order("c", id, &format!(r#"{{"ORDER_ID":{id}}}"#)));
        }
        apply();
        let events = "select string_agg(key || ' ' || (body->'metadata'->>'source_table'), ', ' order by id) from cdc.outbox";
        assert_eq!(one::<String>(events).unwrap(), "public.cdc_orders:1 ORDERS, public.cdc_orders:2 ORDERS");
        assert_eq!(one::<bool>("select bool_or(body->'data' ? 'source_pos') from cdc.outbox"), Some(false));
    }

    #[pg_test]
    fn messages_are_routed_by_their_topics_as_they_came() {
        preset();
        run(ENDPOINT);
        run("select cdc.route('raw', 'cdc/oracle/*/ORDERS/*', $$payload->'payload'->>'op' = 'c'$$, 'endpoint:shop',
                              format => 'row', payload => $$payload->'payload'->'after'$$)");
        for (topic, op) in
            [(ORDERS, "c"), (ORDERS, "c"), (ORDERS, "d"), ("cdc/oracle/SALES/CUSTOMERS/insert", "c")]
        {
            ingest(topic, &order(op, 1, r#"{"ORDER_ID":1}"#));
        }
        ingest(ORDERS, "not json");
        apply();
        let told = "select string_agg(key || ' ' || body::text, ', ' order by id) from cdc.outbox";
        let first = r#"cdc/oracle/*/ORDERS/*:cdc/oracle/SALES/ORDERS/insert {"ORDER_ID": 1}"#;
        assert_eq!(one::<String>(told).unwrap(), format!("{first}, {first}"));
        // The same message twice is the same event.
        assert_eq!(one::<i64>("select count(distinct event_id) from cdc.outbox"), Some(1));
        run("select cdc.drop_route('raw')");
    }

    #[pg_test]
    fn a_rule_that_fails_for_a_row_harms_neither_the_row_nor_its_neighbours() {
        orders();
        run("select cdc.route('risky', 'orders', '1 / (order_id - 2) is not null', 'endpoint:shop')");
        run("insert into orders select n, n from generate_series(1, 100) as n");
        assert_eq!(one::<i64>("select count(*) from orders"), Some(100));
        assert_eq!(one::<i64>("select count(*) from cdc.outbox"), Some(99));
        let failure = "select concat_ws(' ', kind, rule, failures, last_error) from cdc.rule_failures";
        assert_eq!(one::<String>(failure).unwrap(), "route risky 1 division by zero");
    }

    #[pg_test]
    fn rules_run_with_the_rights_of_their_owner_and_leave_nothing_behind() {
        run(ENDPOINT);
        run("create table secrets (secret text); create role someone in role cdc_admin;
             grant create on schema public to someone; set role someone");
        run("create table t (id bigint primary key);
             create table trap (id bigint);
             create function spring() returns trigger language plpgsql as $$ begin perform from secrets; return null; end $$;
             create constraint trigger spring after insert on trap deferrable initially deferred
                 for each row execute function spring();
             create function peep() returns boolean language sql volatile as $$ select count(*) >= 0 from public.secrets $$;
             create function set_trap() returns boolean language sql volatile as
                 $$ insert into public.trap values (1) returning true $$;
             select cdc.route('peep', 't', 'peep()', 'endpoint:shop');
             select cdc.route('trap', 't', 'set_trap()', 'endpoint:shop')");
        run("reset role; insert into t values (1)");
        let failures =
            "select string_agg(rule || ': ' || last_error, ', ' order by rule) from cdc.rule_failures";
        assert_eq!(
            one::<String>(failures).unwrap(),
            "peep: permission denied for table secrets, trap: cannot fire deferred trigger within security-restricted operation"
        );
    }

    #[pg_test]
    fn a_rule_sees_no_rows_that_its_owner_may_not_read() {
        large_orders();
        run("create role someone in role cdc_admin; set role someone");
        run("insert into cdc.alerts select 'spy', table_schema, table_name, polled, condition, type, priority, payload, endpoint,
                                           key, query, 'someone' from cdc.alerts");
        run("reset role; insert into orders values (1, 150)");
        assert_eq!(outbox(), "large public.orders:1 150");
        let failure = "select rule || ': ' || last_error from cdc.rule_failures";
        assert_eq!(one::<String>(failure).unwrap(), "spy: its owner may not read the table");
    }

    #[pg_test]
    fn only_admins_read_secrets() {
        run(
            r#"select cdc.endpoint('shop', 'https://shop.example/', auth => '{"bearer": "hunter2"}', headers => '{"X-Key": "a"}')"#,
        );
        for role in ["cdc_reader", "cdc_writer", "public"] {
            let sql = format!("select has_table_privilege('{role}', 'cdc.endpoint_secrets', 'select')");
            assert_eq!(one::<bool>(&sql), Some(false), "{role}");
        }
        run("select cdc.endpoint('shop', 'https://shop.example/', timeout => '5 s')");
        assert_eq!(one::<String>("select auth->>'bearer' from cdc.endpoint_secrets").unwrap(), "hunter2");
        run("select cdc.endpoint('shop', 'https://shop.example/', auth => '{}')");
        assert_eq!(
            one::<String>("select auth::text || headers::text from cdc.endpoint_secrets").unwrap(),
            r#"{}{"X-Key": "a"}"#
        );
    }

    #[pg_test]
    fn what_cannot_be_is_refused_by_the_name_of_its_argument() {
        orders();
        for (call, error) in [
            ("cdc.endpoint('a', 'ftp://x/')", "argument \"url\""),
            ("cdc.endpoint('a', 'http://u:hunter2@x/')", "argument \"url\""),
            ("cdc.endpoint('', 'http://x/')", "argument \"name\""),
            ("cdc.endpoint('a', 'http://x/', timeout => '0')", "argument \"timeout\""),
            ("cdc.endpoint('a', 'http://x/', backoff => '2 days')", "argument \"backoff\""),
            ("cdc.endpoint('a', 'http://x/', max_attempts => 0)", "argument \"max_attempts\""),
            ("cdc.endpoint('a', 'http://x/', max_rate => -1)", "argument \"max_rate\""),
            ("cdc.endpoint('a', 'http://x/', batch_size => 101)", "argument \"batch_size\""),
            ("cdc.endpoint('a', 'http://x/', batch_member => 'a b')", "argument \"batch_member\""),
            (r#"cdc.endpoint('a', 'http://x/', auth => '{"token": "hunter2"}')"#, "argument \"auth\""),
            (r#"cdc.endpoint('a', 'http://x/', headers => '{"Host": "hunter2"}')"#, "argument \"headers\""),
            ("cdc.endpoint('a', 'https://x/', ca => 'no pem')", "argument \"ca\""),
            ("cdc.alert('a', 'nowhere', 'true', 'T', endpoint => 'shop')", "argument \"on_table\""),
            ("cdc.alert('a', 'orders', 'nothing > 1', 'T', endpoint => 'shop')", "argument \"condition\""),
            ("cdc.alert('a', 'orders', 'amount', 'T', endpoint => 'shop')", "argument \"condition\""),
            ("cdc.alert('a', 'orders', 'true', 'T', 'NOW', endpoint => 'shop')", "argument \"priority\""),
            (
                "cdc.alert('a', 'orders', 'true', 'T', payload => 'nothing', endpoint => 'shop')",
                "argument \"payload\"",
            ),
            ("cdc.alert('a', 'orders', 'true', 'T')", "argument \"endpoint\""),
            ("cdc.alert('a', 'orders', 'true', 'T', endpoint => 'shop', key => '{no}')", "argument \"key\""),
            ("cdc.alert('a', 'cdc.backlog', 'true', 'T', endpoint => 'shop')", "argument \"key\""),
            ("cdc.route('r', 'orders', 'true', 'mail:me')", "argument \"destination\""),
            ("cdc.route('r', 'orders', 'true', 'endpoint:none')", "argument \"destination\""),
            ("cdc.route('r', 'cdc/>/oracle', 'true', 'endpoint:shop')", "argument \"source\""),
            ("cdc.route('r', 'cdc/>', 'order_id > 1', 'endpoint:shop')", "argument \"condition\""),
            ("cdc.route('r', 'orders', 'true', 'notify:c', format => 'xml')", "argument \"format\""),
            (
                "cdc.route('r', 'orders', 'true', 'notify:c', operations => '{read}')",
                "argument \"operations\"",
            ),
        ] {
            let message = refusal(call);
            assert!(message.contains(error) && !message.contains("hunter2"), "{call}: {message}");
        }
        assert_eq!(one::<i64>("select count(*) from cdc.alerts, cdc.routes"), Some(0));
    }

    /// The message of the ERROR that a call raises.
    fn refusal(call: &str) -> String {
        let escaped = call.replace('\'', "''");
        run(&format!(
            "create temp table if not exists refusal (message text); truncate refusal;
             do $do$ begin execute 'select {escaped}';
             exception when others then insert into refusal values (sqlerrm); end $do$"
        ));
        one::<String>("select message from refusal").unwrap_or_default()
    }

    #[pg_test]
    fn rules_are_replaced_and_removed_with_their_triggers() {
        large_orders();
        run("create table returns (order_id bigint primary key, amount numeric)");
        let triggers = "select string_agg(distinct tgrelid::regclass::text, ' ') from pg_trigger where tgname like 'cdc_rules%'";
        assert_eq!(one::<String>(triggers).unwrap(), "orders");
        run("select cdc.alert('large', 'returns', 'amount > 100', 'LARGE_RETURN', endpoint => 'shop')");
        assert_eq!(one::<String>(triggers).unwrap(), "returns");
        run("select cdc.drop_alert('large')");
        assert_eq!(one::<String>(triggers), None);
        assert_eq!(one::<i64>("select cdc.drop_endpoint('shop')"), Some(0));
    }

    #[pg_test(error = "endpoint shop is used by alert large")]
    fn an_endpoint_in_use_is_not_removed() {
        large_orders();
        run("select cdc.drop_endpoint('shop')");
    }

    #[pg_test]
    fn beyond_its_limit_the_outbox_discards_and_counts() {
        orders();
        run("select cdc.route('orders', 'orders', 'true', 'endpoint:shop')");
        run("set pg_cdc_ods.outbox_limit = 2");
        let keys = || {
            one::<String>("select string_agg(split_part(key, ':', 2), ' ' order by id) from cdc.outbox")
                .unwrap()
        };
        run("insert into orders select n, n from generate_series(1, 5) as n");
        assert_eq!(keys(), "1 2");
        run("set pg_cdc_ods.outbox_overflow = 'discard_old'");
        run("insert into orders values (6, 6)");
        assert_eq!(keys(), "2 6");
        assert_eq!(one::<i64>("select discarded from cdc.stat_endpoints"), Some(4));
    }

    #[pg_test]
    fn alerts_on_views_are_looked_at_by_maintenance() {
        preset();
        run(ENDPOINT);
        run("select cdc.system_alerts('shop', letters => 2)");
        let types = "select string_agg(body->>'notification_type', ' ' order by id) from cdc.outbox";
        run("select cdc.maintain()");
        assert_eq!(one::<String>(types), None);
        for _ in 0..2 {
            ingest(ORDERS, "not json");
        }
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1,"COLOUR":"red"}"#));
        apply();
        run(
            "insert into cdc.endpoint_counters (endpoint, breaker) values ('shop', 'open'); select cdc.maintain(), cdc.maintain()",
        );
        assert_eq!(one::<String>(types).unwrap(), "DLQ_GROWING ENDPOINT_DOWN SCHEMA_CHANGED");
        run("update cdc.endpoint_counters set breaker = 'closed'; select cdc.maintain()");
        run("update cdc.endpoint_counters set breaker = 'open'; select cdc.maintain()");
        assert_eq!(one::<i64>("select count(*) from cdc.outbox where rule = 'endpoint_down'"), Some(2));
    }

    #[pg_test]
    fn the_alerts_of_the_preset_come_by_one_call() {
        preset();
        run(ENDPOINT);
        run("select cdc.install_preset_alerts('ecommerce', 'shop')");
        let customer =
            r#"{"op":"c","after":{"CUSTOMER_ID":7,"NAME":"Ada","TIER":"GOLD"},"source":{"scn":"9"}}"#;
        for (id, amount) in [(1, "10000.01"), (2, "10000")] {
            let row = format!(r#"{{"ORDER_ID":{id},"CUSTOMER_ID":7,"TOTAL_AMOUNT":{amount}}}"#);
            ingest(ORDERS, &order("c", id, &row));
        }
        apply();
        assert_eq!(one::<i64>("select count(*) from cdc.outbox"), Some(0));
        ingest("cdc/oracle/SALES/CUSTOMERS/insert", customer);
        apply();
        let alerts = "select string_agg(concat_ws(' ', body->>'notification_type', body->'payload'->>'order_id',
                                                  body->'payload'->>'amount', body->'payload'->>'threshold'), ', ') from cdc.outbox";
        assert_eq!(one::<String>(alerts).unwrap(), "HIGH_VALUE_ORDER 1 10000.01 10000");
    }

    #[pg_test]
    fn a_dead_delivery_that_is_replayed_goes_back_into_the_outbox_with_its_event_id() {
        run(ENDPOINT);
        run(
            r#"insert into cdc.dlq (original_topic, stream, seq, error_type, error_message, payload_json, delivery)
               select 'push/' || endpoint, 'push', 1, 'PUSH_REFUSED', '404', '{"a": 1}',
                      jsonb_build_object('endpoint', endpoint, 'event_id', '8c6f0a52-3f3e-4b53-9d60-6e1f0a3b9c11', 'key', 'k',
                                         'kind', 'route', 'rule', 'r')
                 from unnest(array['shop', 'gone']) as endpoint"#,
        );
        let replay = "select row(replayed, resolved, failed)::text from cdc.dlq_replay()";
        assert_eq!(one::<String>(replay).unwrap(), "(2,1,1)");
        assert_eq!(
            one::<String>("select concat_ws(' ', endpoint, key, event_id, body, attempts) from cdc.outbox")
                .unwrap(),
            r#"shop k 8c6f0a52-3f3e-4b53-9d60-6e1f0a3b9c11 {"a": 1} 0"#
        );
        assert_eq!(
            one::<String>("select string_agg(status, ' ' order by id) from cdc.dlq").unwrap(),
            "resolved pending"
        );
    }
}
