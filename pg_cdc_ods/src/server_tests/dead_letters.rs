//! Dead letters inside a real server: replay, automatic retries, retention.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    fn letters() -> Option<String> {
        one(
            "select string_agg(format('%s %s %s', error_type, status, retry_count), ', ' order by id) from cdc.dlq",
        )
    }

    #[pg_test]
    fn a_dead_letter_is_applied_once_its_cause_is_mended() {
        preset();
        Spi::run("alter table cdc_orders add constraint positive check (total_amount > 0)").unwrap();
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":-5}"#));
        ingest(ORDERS, "not json");
        apply();
        assert_eq!(letters().unwrap(), "CONSTRAINT_VIOLATION pending 0, MALFORMED_JSON pending 0");
        let replay = "select row(replayed, resolved, failed)::text from cdc.dlq_replay()";
        assert_eq!(one::<String>(replay).unwrap(), "(2,0,2)");
        Spi::run("alter table cdc_orders drop constraint positive").unwrap();
        let replay = "select row(replayed, resolved, failed)::text
            from cdc.dlq_replay('error_type = ''CONSTRAINT_VIOLATION''')";
        assert_eq!(one::<String>(replay).unwrap(), "(1,1,0)");
        assert_eq!(letters().unwrap(), "CONSTRAINT_VIOLATION resolved 2, MALFORMED_JSON pending 1");
        assert_eq!(one::<String>("select total_amount::text from cdc_orders").unwrap(), "-5.00");
    }

    #[pg_test]
    fn a_replay_never_puts_an_older_state_over_a_newer() {
        preset();
        Spi::run("alter table cdc_orders add constraint positive check (total_amount > 0)").unwrap();
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":1,"STATUS":"old","TOTAL_AMOUNT":-5}"#));
        apply();
        ingest(ORDERS, &order("c", 3, r#"{"ORDER_ID":1,"STATUS":"new","TOTAL_AMOUNT":5}"#));
        apply();
        Spi::run("alter table cdc_orders drop constraint positive").unwrap();
        assert_eq!(one::<i64>("select resolved from cdc.dlq_replay('id > 0')"), Some(1));
        assert_eq!(one::<String>("select status from cdc_orders").unwrap(), "new");
    }

    #[pg_test]
    fn what_time_may_heal_is_tried_again_by_itself_and_not_for_ever() {
        alone();
        Spi::run("create table parent (id bigint primary key)").unwrap();
        Spi::run("create table t (id bigint primary key references parent)").unwrap();
        Spi::run(r#"select cdc.attach('SALES.ORDERS', 'public.t', columns => '{"id": "ORDER_ID"}')"#)
            .unwrap();
        for id in [1, 2] {
            ingest(ORDERS, &order("c", id, &format!(r#"{{"ORDER_ID":{id}}}"#)));
        }
        apply();
        assert_eq!(letters().unwrap(), "CONSTRAINT_VIOLATION retrying 0, CONSTRAINT_VIOLATION retrying 0");
        let retry = || {
            Spi::run("update cdc.dlq set retry_at = now() where status = 'retrying'").unwrap();
            one::<i64>("select dead_letters_resolved from cdc.maintain()").unwrap()
        };
        Spi::run("insert into parent values (1)").unwrap();
        assert_eq!(retry(), 1);
        assert_eq!(one::<i64>("select id from t"), Some(1));
        for _ in 0..6 {
            retry();
        }
        assert_eq!(letters().unwrap(), "CONSTRAINT_VIOLATION resolved 1, CONSTRAINT_VIOLATION pending 5");
    }

    #[pg_test]
    fn settled_letters_are_cleared_away_and_pending_ones_stay() {
        preset();
        for _ in 0..3 {
            ingest(ORDERS, "not json");
        }
        apply();
        assert_eq!(one::<i64>("select cdc.dlq_discard('id = (select min(id) from cdc.dlq)')"), Some(1));
        Spi::run("update cdc.dlq set last_failure_at = now() - interval '8 days', settled_at = settled_at - interval '8 days'").unwrap();
        assert_eq!(one::<i64>("select dead_letters_cleared from cdc.maintain()"), Some(1));
        assert_eq!(one::<i64>("select count(*) from cdc.dlq where status = 'pending'"), Some(2));
    }

    #[pg_test(error = "invalid value for argument \"filter\": column \"nonsense\" does not exist")]
    fn a_filter_that_is_no_condition_says_so() {
        alone();
        Spi::run("select cdc.dlq_replay('nonsense = 1')").unwrap();
    }
}
