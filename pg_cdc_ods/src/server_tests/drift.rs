//! Schema drift inside a real server.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;

    use crate::server_tests::{ORDERS, apply, ingest, one, order, preset};

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
}
