//! Who may do what, inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    #[pg_test]
    fn a_writer_ingests_and_reads_nothing() {
        alone();
        Spi::run("create role bridge in role cdc_writer; set role bridge").unwrap();
        ingest(ORDERS, "{}");
        assert_eq!(one::<bool>("select has_table_privilege('cdc.inbox', 'select')"), Some(false));
        Spi::run("reset role").unwrap();
        assert_eq!(one::<i64>("select count(*) from cdc.inbox"), Some(1));
    }

    #[pg_test(error = "argument \"target\": you lack rights on public.t: update, delete")]
    fn a_target_that_the_caller_may_not_write_is_refused() {
        alone();
        Spi::run("create table t (id bigint primary key); create role someone in role cdc_admin").unwrap();
        Spi::run("grant select, insert on t to someone; set role someone").unwrap();
        Spi::run("select cdc.attach('S.T', 'public.t')").unwrap();
    }

    #[pg_test]
    fn deferred_triggers_fire_with_the_rights_of_the_owner_and_one_that_fails_is_its_rows_own() {
        alone();
        Spi::run("create role someone in role cdc_admin; grant create on schema public to someone; set role someone")
            .unwrap();
        Spi::run(
            "create table t (order_id bigint primary key, written_by text);
             create function note() returns trigger language plpgsql as $$
             begin
                 if new.order_id = 2 then raise check_violation using message = 'not 2'; end if;
                 if new.written_by is null then update public.t set written_by = current_user where order_id = new.order_id; end if;
                 return null;
             end $$;
             create constraint trigger note after insert on t deferrable initially deferred
                 for each row execute function note();
             select cdc.attach('SALES.ORDERS', 'public.t'); reset role",
        )
        .unwrap();
        for id in 1..=3 {
            ingest(ORDERS, &order("c", id, &format!(r#"{{"ORDER_ID":{id}}}"#)));
        }
        apply();
        let rows = "select string_agg(order_id || written_by, ' ' order by order_id) from t";
        assert_eq!(one::<String>(rows).unwrap(), "1someone 3someone");
        assert_eq!(one::<String>("select error_type from cdc.dlq").unwrap(), "CONSTRAINT_VIOLATION");
    }

    /// Someone who configures, and what they own.
    fn someone_enriches() {
        alone();
        Spi::run(
            r#"create role someone in role cdc_admin; grant create on schema public to someone; set role someone;
               create table t (id bigint primary key, v text); create table e (id bigint primary key, v text);
               select cdc.enrich('e', 'e', 'id', 'select id, v || current_user as v from t',
                                 '[{"table": "t", "keys": "select id from changed"}]');
               insert into t values (1, 'by '); reset role"#,
        )
        .unwrap();
    }

    #[pg_test]
    fn a_query_of_an_enriched_table_runs_with_the_rights_of_who_configured_it() {
        someone_enriches();
        apply();
        assert_eq!(one::<String>("select v from e").unwrap(), "by someone");
    }

    #[pg_test(error = "role other may not configure enrichments in the name of someone")]
    fn a_query_cannot_be_slipped_to_another_role() {
        someone_enriches();
        Spi::run("create role other in role cdc_admin; set role other; update cdc.enrichments set query = 'select 1'")
            .unwrap();
    }

    #[pg_test]
    fn messages_beyond_the_limits_are_dead_letters_or_wait_for_the_next_batch() {
        preset();
        Spi::run("set pg_cdc_ods.max_message_size = '1MB'; set pg_cdc_ods.batch_bytes = '64kB'").unwrap();
        ingest(ORDERS, &" ".repeat(2_000_000));
        ingest(ORDERS, &order("c", 1, &format!(r#"{{"ORDER_ID":1,"NOTE":"{}"}}"#, "x".repeat(70_000))));
        ingest(ORDERS, &order("c", 2, r#"{"ORDER_ID":2}"#));
        assert_eq!(apply(), 3);
        assert_eq!(one::<String>("select error_type from cdc.dlq").unwrap(), "TOO_LARGE");
        assert_eq!(one::<i64>("select count(*) from cdc_orders"), Some(2));
    }
}
