//! What waits to be enriched, worked off in steps inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::time::Duration;

    use pgrx::prelude::*;

    use crate::enrich;
    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order};

    /// Tasks, of which only those that are not done are enriched, with the name of the person that does them. The key is
    /// of this type, in the enriched table with this collation.
    fn open_tasks(key_type: &str, collation: &str) {
        alone();
        Spi::run(&format!(
            r#"create table people (person_id int primary key, name text);
               create table tasks (task_id {key_type} primary key, person_id int, done boolean);
               create index on tasks (person_id);
               create table open_tasks (task_id {key_type} {collation} primary key, name text);
               select cdc.enrich('open_tasks', 'open_tasks', 'task_id',
                   'select t.task_id, p.name from tasks t join people p using (person_id) where not t.done',
                   '[{{"table": "tasks", "keys": "select task_id from changed"}},
                     {{"table": "people", "keys": "select task_id from changed join tasks using (person_id)"}}]');
               insert into people values (7, 'Ann'), (8, 'Bo'), (9, 'Cy');"#
        ))
        .unwrap();
    }

    fn take_steps_of(keys: i32) {
        Spi::run(&format!("set pg_cdc_ods.enrich_step = {keys}")).unwrap();
    }

    fn count(table: &str) -> i64 {
        one(&format!("select count(*) from {table}")).unwrap()
    }

    fn assert_right(open: i64) {
        assert_eq!(one::<String>("select string_agg(v::text, ', ') from cdc.verify('open_tasks') v"), None);
        assert_eq!(one::<String>("select string_agg(p::text, ', ') from cdc.pending p"), None);
        assert_eq!(count("open_tasks"), open);
    }

    #[pg_test]
    fn a_change_of_few_rows_here_and_there_is_followed() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7 + (n % 50 = 3)::int, false from generate_series(1, 1000) n")
            .unwrap();
        apply();
        take_steps_of(3);
        Spi::run("update people set name = 'Bob' where person_id = 8").unwrap();
        assert_eq!(count("cdc.enrich_backlog"), 1);
        apply();
        assert_right(1000);
        assert_eq!(count("open_tasks where name = 'Bob'"), 20);
    }

    #[pg_test]
    fn a_change_of_many_rows_that_the_enriched_table_lacks_is_followed() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7, n not in (300, 310, 999) from generate_series(1, 1000) n")
            .unwrap();
        apply();
        assert_right(3);
        take_steps_of(3);
        Spi::run("update people set name = 'Anna'; alter table tasks disable trigger user").unwrap();
        // Rows that the change has to add, before, between and behind those that are there.
        Spi::run("update tasks set done = false where task_id in (1, 305, 1000)").unwrap();
        apply();
        assert_right(6);
    }

    #[pg_test]
    fn changes_of_several_rows_with_keys_in_common_are_followed() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7 + n % 3, false from generate_series(1, 300) n").unwrap();
        apply();
        take_steps_of(7);
        Spi::run("update people set name = name || '!'; update people set name = name || '?'; delete from people where person_id = 9").unwrap();
        assert_eq!(count("cdc.enrich_backlog"), 3);
        apply();
        assert_right(200);
        assert_eq!(count("open_tasks where name in ('Ann!?', 'Bo!?')"), 200);
    }

    #[pg_test]
    fn keys_that_two_tables_have_in_different_orders_are_all_done() {
        for collation in [r#"collate "C""#, r#"collate "und-x-icu""#] {
            open_tasks("text", collation);
            Spi::run(
                "insert into tasks select chr(c) || suffix, 7, false
                   from generate_series(ascii('A'), ascii('z')) c, unnest('{\"\",a,B,-,_1}'::text[]) suffix",
            )
            .unwrap();
            let tasks = count("tasks");
            for step in [1, 2, 9] {
                take_steps_of(step);
                Spi::run(&format!("update people set name = 'Step {step}'")).unwrap();
                apply();
                assert_right(tasks);
                Spi::run("update open_tasks set name = 'wrong'; select cdc.refresh('open_tasks')").unwrap();
                apply();
                assert_right(tasks);
            }
            Spi::run("select cdc.drop_enrichment('open_tasks'); drop table tasks, open_tasks, people")
                .unwrap();
        }
    }

    #[pg_test]
    fn work_goes_on_where_it_was_left() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7, false from generate_series(1, 100) n").unwrap();
        apply();
        take_steps_of(10);
        Spi::run("update people set name = 'Anna'").unwrap();
        assert!(enrich::work_off_step());
        assert_eq!(one::<String>("select last_key from cdc.enrich_backlog").unwrap(), "10");
        assert_eq!(count("open_tasks where name = 'Anna'"), 10);
        assert!(enrich::work_off_step());
        assert_eq!(count("open_tasks where name = 'Anna'"), 20);
        // In the backlog, and in the queue if the second look took in more keys than the step could make anew.
        assert_eq!(one::<i64>("select sum(rows)::bigint from cdc.pending"), Some(80));
        apply();
        assert_right(100);
    }

    #[pg_test]
    fn a_step_ends_with_its_pass_when_events_wait_and_a_batch_would_have_ended() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7, false from generate_series(1, 2500) n").unwrap();
        assert_eq!(count("cdc.enrich_queue"), 2500);
        ingest(ORDERS, &order("c", 1, r#"{"ORDER_ID":1}"#));
        assert!(enrich::work_off_between_transactions(Duration::ZERO));
        assert_eq!(count("cdc.enrich_queue"), 1500);
        assert!(enrich::work_off_between_transactions(Duration::from_secs(3600)));
        assert_eq!(count("cdc.enrich_queue"), 0);
    }

    #[pg_test]
    fn a_step_goes_on_while_no_events_wait() {
        open_tasks("int", "");
        Spi::run("insert into tasks select n, 7, false from generate_series(1, 2500) n").unwrap();
        assert!(enrich::work_off_between_transactions(Duration::ZERO));
        assert_eq!(count("cdc.enrich_queue"), 0);
        assert!(!enrich::work_off_between_transactions(Duration::ZERO));
    }
}
