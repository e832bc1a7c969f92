//! What changes of rows do to windows.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{alone, one};

    /// A table of sales, and their sums by shop.
    fn sales(contributions: &str) {
        alone();
        run(
            "create table sales (sale_id integer primary key, note text, shop text, amount numeric, at timestamp)",
        );
        run("create table sums (window_start timestamp, window_end timestamp, shop text, sales bigint, amount numeric,
                                closed boolean, unique nulls not distinct (window_start, shop))");
        run(&format!(
            "select cdc.aggregate('sums', 'sales', 'sums', $${contributions}$$, '{{shop}}', 'sales')"
        ));
        run("insert into sales select n, 'n', 's' || n % 2, n, '2026-02-01' from generate_series(1, 9) n");
    }

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn sums() -> Option<String> {
        assert_eq!(one::<String>("select string_agg(v::text, ', ') from cdc.verify('sums') v"), None);
        one("select string_agg(concat_ws(' ', shop, sales, amount), ', ' order by shop) from sums")
    }

    /// Where the rows of the windows are: a row that is written moves.
    fn places() -> Option<String> {
        one("select string_agg(ctid::text, ' ' order by shop) from sums")
    }

    const OF_COLUMNS: &str = "select at as event_time, shop, amount from changed";
    const OF_WHOLE_ROWS: &str =
        "select c.at as event_time, c.shop, (to_jsonb(c)->>'amount')::numeric as amount from changed c";

    #[pg_test]
    fn a_change_of_other_columns_writes_no_window() {
        sales(OF_COLUMNS);
        let before = places();
        run("update sales set note = 'other'");
        assert_eq!(places(), before);
        assert_eq!(sums().unwrap(), "s0 4 20, s1 5 25");
    }

    #[pg_test]
    fn of_rows_that_change_and_others_that_do_not_the_first_count() {
        sales(OF_COLUMNS);
        run("update sales set note = 'other', amount = case when sale_id = 3 then 103 else amount end");
        assert_eq!(sums().unwrap(), "s0 4 20, s1 5 125");
        run("update sales set shop = 's1' where sale_id = 2");
        assert_eq!(sums().unwrap(), "s0 3 18, s1 6 127");
        run("update sales set shop = null, amount = null where shop = 's0'");
        assert_eq!(sums().unwrap(), "s1 6 127, 3 0");
        run("delete from sales where shop = 's1'");
        assert_eq!(sums().unwrap(), "3 0");
    }

    #[pg_test]
    fn contributions_may_be_made_of_whole_rows() {
        sales(OF_WHOLE_ROWS);
        assert_eq!(one::<Vec<String>>("select used_columns from cdc.aggregates"), None);
        run("update sales set amount = 10 * amount");
        assert_eq!(sums().unwrap(), "s0 4 200, s1 5 250");
    }

    #[pg_test]
    fn a_table_that_changes_its_columns_is_read_as_it_is() {
        sales(OF_COLUMNS);
        run("update sales set amount = amount + 1");
        run("alter table sales drop column note, add column late integer default 5");
        run("update sales set amount = amount + 1 where sale_id < 3");
        run("update sales set late = 6");
        assert_eq!(sums().unwrap(), "s0 4 25, s1 5 31");
    }

    #[pg_test]
    fn an_aggregate_that_is_replaced_is_so_at_once() {
        sales(OF_COLUMNS);
        run("select cdc.aggregate('sums', 'sales', 'sums', 'select at as event_time, shop, 2 * amount as amount from changed',
                                  '{shop}', 'sales')");
        run("update sales set amount = 1 where sale_id = 9");
        assert_eq!(sums().unwrap(), "s0 4 40, s1 5 34");
        run("select cdc.drop_aggregate('sums')");
        let before = places();
        run("update sales set amount = 0");
        assert_eq!(places(), before);
    }
}
