//! The statement triggers by which changes of a table are seen, whoever makes them.

use pgrx::spi::{SpiClient, quote_qualified_identifier};

use crate::resolve::Table;
use crate::sql_error::spi_failed;

/// Four triggers on a table: a trigger with transition tables takes only one kind of event.
pub(crate) struct ChangeTriggers {
    /// What their names begin with.
    pub(crate) prefix: &'static str,
    /// The trigger function.
    pub(crate) function: &'static str,
}

const EVENTS: [(&str, &str); 4] = [
    ("insert", "referencing new table as new_rows"),
    ("update", "referencing old table as old_rows new table as new_rows"),
    ("delete", "referencing old table as old_rows"),
    ("truncate", ""),
];

impl ChangeTriggers {
    /// Makes them, or makes them anew; waits until no other transaction writes to the table, so that none of its changes
    /// is missed.
    pub(crate) fn create(&self, client: &mut SpiClient<'_>, table: &Table) {
        let name = table.quoted();
        let (prefix, function) = (self.prefix, self.function);
        run(client, &format!("lock table {name} in share row exclusive mode"));
        for (event, referencing) in EVENTS {
            let trigger = format!(
                "create or replace trigger {prefix}_{event} after {event} on {name} {referencing} \
                 for each statement execute function {function}()"
            );
            run(client, &trigger);
        }
    }

    /// Removes them from tables that `is_needed` (a query that gives true or false for `$1`, `$2`: schema and name)
    /// denies.
    pub(crate) fn drop_needless(
        &self,
        client: &mut SpiClient<'_>,
        tables: &[(String, String)],
        is_needed: &str,
    ) {
        for (schema, table) in tables {
            let args = [schema.as_str().into(), table.as_str().into()];
            let needed =
                client.update(is_needed, Some(1), &args).and_then(|row| row.first().get_one::<bool>());
            match needed {
                Ok(Some(true)) => continue,
                Ok(_) => (),
                Err(error) => spi_failed("cannot read the configuration", &error),
            }
            for (event, _) in EVENTS {
                let name = quote_qualified_identifier(schema, table);
                run(client, &format!("drop trigger if exists {}_{event} on {name}", self.prefix));
            }
        }
    }
}

fn run(client: &mut SpiClient<'_>, sql: &str) {
    if let Err(error) = client.update(sql, None, &[]) {
        spi_failed("cannot make or remove the triggers of a table", &error);
    }
}
