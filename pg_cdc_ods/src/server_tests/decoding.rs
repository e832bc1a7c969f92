//! The tables of docs/decoding.md inside a real server: each value in a column of its type.

/// The schema of the tests, which `cargo pgrx test` calls by this name.
#[pgrx::pg_schema]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::server_tests::{ORDERS, alone, apply, ingest, one};

    const DOCUMENT: &str = include_str!("../../../docs/decoding.md");

    /// The rows of the tables whose heading is this, as cells.
    fn table(heading: &str) -> Vec<Vec<&'static str>> {
        let rows = DOCUMENT.split(heading).nth(1).unwrap().lines().skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
            .collect()
    }

    /// The schema of a field, from the columns "type" and "parameters".
    fn schema(type_name: &str, parameters: &str) -> Value {
        if let Some(item) = type_name.strip_prefix("array of ") {
            return json!({"type": "array", "items": schema(item, "")});
        }
        if !type_name.contains('.') {
            return json!({"type": type_name, "optional": true});
        }
        let parameters = parameters.split_once('=').map(|(name, value)| json!({name: value}));
        json!({"type": "string", "name": type_name, "optional": true, "parameters": parameters})
    }

    /// Columns of `made` that have another type or another value than they should have.
    fn differences(expected: &[(String, &str, &str)]) -> Vec<String> {
        let check = |(column, type_name, value): &(String, &str, &str)| {
            let sql = format!(
                "select nullif(format('%s: %s %s', '{column}', format_type(atttypid, null), {column}),
                               format('%s: %s %s', '{column}', format_type('{type_name}'::regtype, null), $1::{type_name}))
                   from made, pg_attribute where attrelid = 'made'::regclass and attname = '{column}'"
            );
            Spi::get_one_with_args::<String>(&sql, &[(*value).into()]).unwrap()
        };
        expected.iter().filter_map(check).collect()
    }

    #[pg_test]
    fn every_type_with_a_schema_makes_its_column_and_its_value() {
        alone();
        Spi::run("select cdc.attach('SALES.ORDERS', 'made', array['id']); set timezone = 'UTC'").unwrap();
        let (mut fields, mut row, mut expected) =
            (vec![json!({"field": "ID", "type": "int64"})], String::from(r#""ID":1"#), vec![]);
        for (place, cells) in
            table("\n| type | parameters | JSON | PostgreSQL type | value |").into_iter().enumerate()
        {
            let [type_name, parameters, json, pg_type, value] = cells[..] else { panic!("{cells:?}") };
            let mut field = schema(type_name, parameters);
            field["field"] = format!("C{place}").into();
            fields.push(field);
            row = format!(r#"{row},"C{place}":{json}"#);
            expected.push((format!("c{place}"), pg_type, value));
        }
        assert!(expected.len() > 50, "{} rows", expected.len());
        let schema =
            json!({"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": fields}]});
        ingest(ORDERS, &format!(r#"{{"schema":{schema},"payload":{{"op":"c","after":{{{row}}}}}}}"#));
        apply();
        assert_eq!(one::<String>("select string_agg(error_message, ',') from cdc.dlq"), None);
        assert_eq!(differences(&expected), Vec::<String>::new());
    }

    #[pg_test]
    fn every_value_without_a_schema_fits_its_column_or_is_refused() {
        alone();
        Spi::run("create table made (id bigint primary key); set timezone = 'UTC'").unwrap();
        let (mut row, mut expected, mut refused) = (String::from(r#""ID":0"#), vec![], vec![]);
        for (place, cells) in table("\n| JSON | PostgreSQL type | value |").into_iter().enumerate() {
            let [json, pg_type, value] = cells[..] else { panic!("{cells:?}") };
            if pg_type == "public.geometry" {
                continue; // PostGIS need not be there.
            }
            Spi::run(&format!("alter table made add column c{place} {pg_type}")).unwrap();
            let field = format!(r#""C{place}":{json}"#);
            match value.strip_prefix("refused: ") {
                Some(why) => refused.push((field, format!("column C{place}: {why}"))),
                None => {
                    row = format!("{row},{field}");
                    expected.push((format!("c{place}"), pg_type, value));
                }
            }
        }
        assert!(expected.len() > 20 && refused.len() > 5, "{} {}", expected.len(), refused.len());
        Spi::run("select cdc.attach('SALES.ORDERS', 'made')").unwrap();
        ingest(ORDERS, &format!(r#"{{"op":"c","after":{{{row}}}}}"#));
        for (id, (field, _)) in (1..).zip(&refused) {
            ingest(ORDERS, &format!(r#"{{"op":"c","after":{{"ID":{id},{field}}}}}"#));
        }
        apply();
        assert_eq!(differences(&expected), Vec::<String>::new());
        let letters = one::<Vec<String>>("select array_agg(error_message order by id) from cdc.dlq").unwrap();
        assert_eq!(letters, refused.into_iter().map(|(_, why)| why).collect::<Vec<_>>());
    }
}
