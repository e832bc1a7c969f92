//! `cdc.enrich()` and `cdc.aggregate()` inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{alone, apply, happening, one, preset, tell};

    /// Tasks with the name of the person that does them.
    fn tasks(person: &str) {
        alone();
        Spi::run(&format!(
            r#"create table people (person_id int primary key, name text, phone text);
               create table tasks (task_id int primary key, person_id int, effort int);
               create index on tasks (person_id);
               create table tasks_enriched (task_id int primary key, person_id int, name text, share int, missing text[],
                                            complete boolean, processed_at timestamptz);
               select cdc.enrich('tasks', 'tasks_enriched', 'task_id',
                   $$ select t.task_id, t.person_id, p.name, 100 / t.effort as share,
                             case when p.person_id is null then array['person'] else '{{}}' end as missing,
                             p.person_id is not null as complete
                        from tasks t left join people p using (person_id) $$,
                   '[{{"table": "tasks", "keys": "select task_id from changed"}},
                     {{"table": "people", "keys": "select task_id from changed join tasks using (person_id)",
                      "part": "person", {person} "uses": ["name"]}}]');"#
        ))
        .unwrap();
    }

    const REFRESH: &str = "";
    const PENDING: &str = r#""policy": "pending", "columns": ["name"], "reference": ["person_id"],"#;

    fn rows() -> String {
        apply();
        one("select string_agg(concat_ws(' ', task_id, name, share, missing), ', ' order by task_id) from tasks_enriched")
            .unwrap_or_default()
    }

    fn assert_verified(name: &str) {
        assert_eq!(
            one::<String>(&format!("select string_agg(v::text, ', ') from cdc.verify('{name}') v")),
            None
        );
    }

    #[pg_test]
    fn what_is_there_when_it_is_configured_and_what_sessions_write_is_enriched() {
        alone();
        Spi::run("create table early (id int primary key, v int); insert into early values (1, 1), (2, 2)")
            .unwrap();
        Spi::run("create table doubled (id int primary key, twice int)").unwrap();
        Spi::run(
            r#"select cdc.enrich('doubled', 'doubled', 'id', 'select id, 2 * v as twice from early',
                                 '[{"table": "early", "keys": "select id from changed"}]')"#,
        )
        .unwrap();
        let rows = || {
            apply();
            one::<String>("select string_agg(twice::text, ' ' order by id) from doubled").unwrap_or_default()
        };
        assert_eq!(rows(), "2 4");
        Spi::run("insert into early values (3, 3); update early set v = 5 where id = 1; delete from early where id = 2").unwrap();
        assert_eq!(rows(), "10 6");
        assert_verified("doubled");
        Spi::run("truncate early").unwrap();
        assert_eq!(rows(), "");
    }

    #[pg_test]
    fn a_dimension_with_policy_refresh_is_followed() {
        tasks(REFRESH);
        Spi::run("insert into tasks values (1, 7, 10)").unwrap();
        assert_eq!(rows(), "1 10 {person}");
        Spi::run("insert into people values (7, 'Ann')").unwrap();
        assert_eq!(rows(), "1 Ann 10 {}");
        Spi::run("update people set name = 'Anna'").unwrap();
        assert_eq!(rows(), "1 Anna 10 {}");
        Spi::run("delete from people").unwrap();
        assert_eq!(rows(), "1 10 {person}");
        assert_verified("tasks");
    }

    #[pg_test]
    fn with_policy_pending_what_was_true_when_it_came_stays() {
        tasks(PENDING);
        Spi::run("insert into tasks values (1, 7, 10)").unwrap();
        assert_eq!(rows(), "1 10 {person}");
        Spi::run("insert into people values (7, 'Ann'), (8, 'Bo')").unwrap();
        assert_eq!(rows(), "1 Ann 10 {}");
        Spi::run("update people set name = 'Anna' where person_id = 7; update tasks set effort = 5").unwrap();
        assert_eq!(rows(), "1 Ann 20 {}");
        Spi::run("delete from people where person_id = 7; update tasks set effort = 4").unwrap();
        assert_eq!(rows(), "1 Ann 25 {}");
        assert_verified("tasks");
        Spi::run("update tasks set person_id = 8").unwrap();
        assert_eq!(rows(), "1 Bo 25 {}");
        assert_verified("tasks");
    }

    #[pg_test]
    fn a_change_of_a_column_that_is_not_used_makes_nothing_dirty() {
        tasks(REFRESH);
        Spi::run("insert into people values (7, 'Ann', '1'); insert into tasks values (1, 7, 10)").unwrap();
        rows();
        Spi::run("update people set phone = '2'").unwrap();
        assert_eq!(one::<i64>("select count(*) from cdc.enrich_queue"), Some(0));
        Spi::run("update people set name = 'Anna'").unwrap();
        assert_eq!(one::<String>("select key from cdc.enrich_queue limit 1").unwrap(), "1");
    }

    #[pg_test]
    fn a_row_that_cannot_be_made_is_set_aside_and_its_neighbours_are_made() {
        tasks(REFRESH);
        Spi::run("insert into tasks select n, 7, 3 - n from generate_series(1, 5) n").unwrap();
        assert_eq!(rows(), "1 50 {person}, 2 100 {person}, 4 -100 {person}, 5 -50 {person}");
        let failed = "select max(concat_ws(' ', rows, detail)) from cdc.pending where reason = 'failed'";
        assert_eq!(one::<String>(failed).unwrap(), "1 division by zero");
        Spi::run("alter table tasks disable trigger user; update tasks set effort = 1 where task_id = 3")
            .unwrap();
        Spi::run("alter table tasks enable trigger user; select cdc.maintain()").unwrap();
        assert_eq!(rows(), "1 50 {person}, 2 100 {person}, 3 100 {person}, 4 -100 {person}, 5 -50 {person}");
        assert_eq!(one::<String>(failed), None);
    }

    #[pg_test]
    fn a_query_for_keys_that_fails_does_not_fail_the_rows_that_changed() {
        tasks(REFRESH);
        Spi::run("insert into people values (7, 'Ann'); alter table tasks rename to work").unwrap();
        Spi::run("update people set name = 'Anna'").unwrap();
        apply();
        let failed = "select detail from cdc.pending where reason = 'failed' limit 1";
        assert_eq!(one::<String>(failed).unwrap(), "relation \"public.tasks\" does not exist");
        Spi::run(
            "alter table work rename to tasks; insert into tasks values (1, 7, 1); select cdc.maintain()",
        )
        .unwrap();
        assert_eq!(rows(), "1 Anna 100 {}");
    }

    #[pg_test]
    fn an_enriched_table_may_read_another() {
        tasks(REFRESH);
        Spi::run("create table loads (person_id int primary key, load bigint, name text)").unwrap();
        Spi::run(
            r#"create index on tasks_enriched (person_id);
               select cdc.enrich('loads', 'loads', 'person_id',
                   'select person_id, sum(share) as load, max(name) as name from tasks_enriched group by person_id',
                   '[{"table": "tasks_enriched", "keys": "select person_id from changed"}]');
               insert into tasks values (1, 7, 10), (2, 7, 20); insert into people values (7, 'Ann')"#,
        )
        .unwrap();
        apply();
        assert_eq!(
            one::<String>("select string_agg(concat_ws(' ', load, name), ', ') from loads").unwrap(),
            "15 Ann"
        );
        Spi::run("delete from tasks").unwrap();
        apply();
        assert_eq!(one::<i64>("select count(*) from loads"), Some(0));
        assert_verified("loads");
    }

    #[pg_test]
    fn after_it_is_dropped_a_table_is_left_alone() {
        tasks(REFRESH);
        Spi::run("select cdc.drop_enrichment('tasks'); insert into tasks values (1, 7, 10)").unwrap();
        assert_eq!(rows(), "");
        let triggers = "select count(*) from pg_trigger where tgname like 'cdc_enrich%'";
        assert_eq!(one::<i64>(triggers), Some(0));
    }

    #[pg_test(error = "invalid value for argument \"query\": column \"nonsense\" does not exist")]
    fn a_query_that_does_not_run_is_refused() {
        alone();
        Spi::run("create table t (id int primary key)").unwrap();
        Spi::run("select cdc.enrich('t', 't', 'id', 'select nonsense as id', '[]')").unwrap();
    }

    #[pg_test(error = "there is no enriched table or aggregate of the name \"nothing\"")]
    fn only_what_exists_is_verified() {
        Spi::run("select * from cdc.verify('nothing')").unwrap();
    }

    #[pg_test]
    fn verify_shows_a_row_that_somebody_has_changed() {
        tasks(REFRESH);
        Spi::run("insert into tasks values (1, 7, 10)").unwrap();
        rows();
        Spi::run("update tasks_enriched set share = 11").unwrap();
        let difference =
            "select concat_ws(' ', key, expected->>'share', actual->>'share') from cdc.verify('tasks')";
        assert_eq!(one::<String>(difference).unwrap(), "1 10 11");
        Spi::run("select cdc.refresh('tasks')").unwrap();
        rows();
        assert_verified("tasks");
    }

    #[pg_test]
    fn windows_close_by_the_watermark_and_what_comes_late_is_counted_and_added() {
        preset();
        let order = |scn: u32, row: &'static str| {
            tell(&happening("ORDERS", 'c', scn, row));
            apply();
        };
        let windows = "select string_agg(concat_ws(' ', window_start::time, order_count, closed), ', ' order by window_start)
                         from cdc_order_aggregations";
        let late = "select late from cdc.stat_aggregates";
        // 22:13:30, 22:14:50 and 22:15:10.
        order(1, r#"{"ORDER_ID":1,"TOTAL_AMOUNT":1}"#);
        order(9, r#"{"ORDER_ID":2,"TOTAL_AMOUNT":1}"#);
        assert_eq!(one::<String>(windows).unwrap(), "22:10:00 2 f");
        order(11, r#"{"ORDER_ID":3,"TOTAL_AMOUNT":1}"#);
        assert_eq!(one::<String>(windows).unwrap(), "22:10:00 2 t, 22:15:00 1 f");
        assert_eq!(one::<i64>(late), Some(0));
        order(2, r#"{"ORDER_ID":4,"TOTAL_AMOUNT":1}"#);
        assert_eq!(one::<String>(windows).unwrap(), "22:10:00 3 t, 22:15:00 1 f");
        assert_eq!(one::<i64>(late), Some(1));
        assert_verified("order_aggregations");
    }

    #[pg_test]
    fn a_product_in_too_many_orders_is_worked_off_in_steps() {
        preset();
        Spi::run("set pg_cdc_ods.enrich_step = 3").unwrap();
        tell(&happening("PRODUCTS", 'c', 5, r#"{"PRODUCT_ID":5,"NAME":"Lamp","CATEGORY":"Home"}"#));
        Spi::run(
            "insert into cdc_orders (order_id, customer_id, source_ts) select n, 7, now() from generate_series(1, 10) n;
             insert into cdc_order_items (item_id, order_id, product_id, subtotal) select n, n, 5, 1 from generate_series(1, 10) n",
        )
        .unwrap();
        apply();
        assert_verified("orders_enriched");
        tell(&happening("PRODUCTS", 'u', 9, r#"{"PRODUCT_ID":5,"NAME":"Lantern","CATEGORY":"Home"}"#));
        one::<i64>("select events from cdc.apply(1)");
        let pending = "select string_agg(concat_ws(' ', reason, part, rows), ', ') from cdc.pending where reason <> 'missing'";
        assert_eq!(one::<String>(pending).unwrap(), "fan-out public.cdc_products 10");
        apply();
        assert_eq!(one::<String>(pending), None);
        assert_eq!(
            one::<i64>("select count(*) from cdc_orders_enriched where product_names = '{Lantern}'"),
            Some(10)
        );
        assert_verified("orders_enriched");
    }

    #[pg_test]
    fn of_the_orders_only_those_of_changed_customers_are_read() {
        preset();
        Spi::run(
            "insert into cdc_customers (customer_id, name) select n, 'Ann' from generate_series(1, 1000) n;
             insert into cdc_orders (order_id, customer_id) select n, n % 1000 + 1 from generate_series(1, 20000) n",
        )
        .unwrap();
        apply();
        Spi::run("analyze cdc_customers, cdc_orders").unwrap();
        let rows_read = || {
            let sql = "select coalesce(idx_tup_fetch, 0) + seq_tup_read from pg_stat_xact_user_tables
                        where relid = 'cdc_orders'::regclass";
            one::<i64>(sql).unwrap()
        };
        let before = rows_read();
        Spi::run("update cdc_customers set name = 'Bo' where customer_id <= 120").unwrap();
        let read = rows_read() - before;
        // Twenty orders of each, for the row before and the row after.
        assert!((2400..=4800).contains(&read), "{read} orders are read");
    }
}
