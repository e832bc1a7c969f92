//! Several batches in one transaction, inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::time::Duration;

    use pgrx::prelude::*;

    use crate::apply::apply_for;
    use crate::server_tests::{ORDERS, alone, apply, ingest, one, order, preset};

    const HOUR: Duration = Duration::from_secs(3600);

    /// The preset, with batches of two messages, and a log of what is done to enriched orders.
    fn small_batches() {
        preset();
        Spi::run(
            "set pg_cdc_ods.batch_size = 2;
             create table log (seq serial, order_id bigint, status text);
             create function log() returns trigger language plpgsql set search_path = public as $$
                begin insert into log (order_id, status) values (new.order_id, new.status); return null; end $$;
             create trigger log after insert or update on cdc_orders_enriched for each row execute function log()",
        )
        .unwrap();
        apply();
    }

    /// An order's history, from its first status to its last.
    fn tell_history(order_id: u32, statuses: &[&str]) {
        for (scn, status) in (1..).zip(statuses) {
            let op = if scn == 1 { "c" } else { "u" };
            ingest(ORDERS, &order(op, scn, &format!(r#"{{"ORDER_ID":{order_id},"STATUS":"{status}"}}"#)));
        }
    }

    fn log() -> Option<String> {
        one("select string_agg(order_id || ' ' || status, ', ' order by seq) from log")
    }

    #[pg_test]
    fn an_enriched_row_that_several_batches_change_is_made_anew_once() {
        small_batches();
        tell_history(1, &["NEW", "PAID", "PACKED", "SENT", "DONE"]);
        assert_eq!(apply(), 5);
        assert_eq!(log().unwrap(), "1 DONE");
        assert_eq!(
            one::<String>("select string_agg(v::text, ', ') from cdc.verify('orders_enriched') v"),
            None
        );
    }

    #[pg_test]
    fn enriched_rows_do_not_wait_for_others_when_there_are_many() {
        small_batches();
        Spi::run("set pg_cdc_ods.enrich_step = 1").unwrap();
        (1..=25).for_each(|order_id| tell_history(order_id, &["NEW"]));
        tell_history(1, &["NEW", "PAID"]);
        assert_eq!(apply(), 27);
        let log = log().unwrap();
        assert!(log.starts_with("1 NEW, 2 NEW, ") && log.contains(", 1 PAID"), "{log}");
        assert_eq!(one::<i64>("select count(*) from cdc_orders_enriched"), Some(25));
    }

    #[pg_test]
    fn the_worker_takes_full_batches_as_long_as_it_may() {
        small_batches();
        tell_history(1, &["NEW", "PAID", "PACKED", "SENT", "DONE"]);
        let one_batch = apply_for(Duration::ZERO);
        assert_eq!((one_batch.batches, one_batch.sent_at.len(), one_batch.more), (1, 2, true));
        assert_eq!(log().unwrap(), "1 PAID");
        // The last of them is not full.
        let others = apply_for(HOUR);
        assert_eq!((others.batches, others.sent_at.len()), (2, 3));
        assert_eq!(log().unwrap(), "1 PAID, 1 DONE");
        assert_eq!(apply_for(HOUR).batches, 0);
    }

    #[pg_test]
    fn a_batch_that_was_prepared_ahead_follows_a_target_that_the_one_before_it_changed() {
        for prepare_ahead in ["on", "off"] {
            alone();
            Spi::run(&format!(
                "set pg_cdc_ods.batch_size = 2; set pg_cdc_ods.prepare_ahead = {prepare_ahead};
                 create table notes (id int primary key);
                 select cdc.attach('*.NOTES', 'notes', on_unknown => 'alter')"
            ))
            .unwrap();
            // The third batch is planned before the second one adds columns.
            for id in 1..=7 {
                let columns =
                    if id < 4 { String::new() } else { format!(r#","COLOUR":"red","SIZE":{id}.5"#) };
                let row = format!(r#"{{"ID":{id}{columns}}}"#);
                let event = format!(r#"{{"op":"c","before":null,"after":{row},"source":{{"scn":"{id}"}}}}"#);
                ingest("cdc/oracle/SALES/NOTES/insert", &event);
            }
            assert_eq!(apply(), 7);
            let right = "select count(*) from notes where colour = 'red' and size = id + 0.5 and extra_fields is null";
            assert_eq!(one::<i64>(right), Some(4));
            Spi::run("select cdc.detach('*.NOTES'); drop table notes").unwrap();
        }
    }
}
