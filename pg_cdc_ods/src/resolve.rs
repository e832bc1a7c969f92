//! SQL and names as a user wrote them, resolved once when they are configured.
//!
//! Configured SQL runs later in sessions with other search paths. So it is made a temporary view for a moment, as whose
//! definition PostgreSQL prints it with the full names of everything in it. That also makes sure that it is one query
//! that runs and changes nothing, and tells its columns.

use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

use crate::sql_error::{invalid, raise, spi_failed};
use crate::subtransaction;

/// Where names are looked up, as `search_path` has it; that of the user's session if nothing is said.
pub(crate) struct SearchPath<'p>(pub(crate) &'p str);

/// A table that exists.
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Names and types of its columns.
    pub(crate) columns: Vec<Column>,
    /// The columns of its primary key, if it has one.
    pub(crate) primary_key: Vec<String>,
}

/// A column of a table or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type as SQL writes it, without modifiers.
    pub(crate) type_name: String,
}

/// A query whose text names everything in full.
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of `changed` that it reads; `None` if it may read all.
    pub(crate) used_columns: Option<Vec<String>>,
}

/// The columns of `changed` that a view reads.
const USED_COLUMNS: &str = "
    select array_agg(distinct a.attname::text)
      from pg_catalog.pg_rewrite r
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
       and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = 'pg_temp.changed'::regclass
      join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid and a.attnum > 0
     where r.ev_class = 'pg_temp.pg_cdc_ods_query'::regclass";

const SET_PATH: &str = "select set_config('search_path', $1, true)";
/// What the extension's functions run with.
const OWN_PATH: &str = "pg_catalog, pg_temp";

const FIND_TABLE: &str = "
    select n.nspname::text, c.relname::text,
           array(select a.attname::text from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
           array(select pg_catalog.format_type(a.atttypid, null) from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
           array(select a.attname::text
                   from pg_catalog.pg_index i
                  cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
                   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                  where i.indrelid = c.oid and i.indisprimary order by k.place)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = $1 and c.relkind = any ($2::text::\"char\"[])";

impl SearchPath<'_> {
    /// Does something with names looked up here.
    fn within<R>(
        &self,
        client: &mut SpiClient<'_>,
        work: impl FnOnce(&mut SpiClient<'_>) -> spi::Result<R>,
    ) -> spi::Result<R> {
        client.update(SET_PATH, None, &[self.0.into()])?;
        let result = work(client)?;
        client.update(SET_PATH, None, &[OWN_PATH.into()])?;
        Ok(result)
    }

    /// Finds a table.
    pub(crate) fn table(&self, client: &mut SpiClient<'_>, argument: &str, name: &str) -> Table {
        self.relation(client, argument, name, "{r,p}")
    }

    /// Finds a relation of one of these kinds, as `pg_class.relkind` has them.
    pub(crate) fn relation(
        &self,
        client: &mut SpiClient<'_>,
        argument: &str,
        name: &str,
        kinds: &str,
    ) -> Table {
        let find = |client: &mut SpiClient<'_>| {
            let oid = self.within(client, |client| {
                client
                    .update("select to_regclass($1)::oid", Some(1), &[name.into()])?
                    .first()
                    .get_one::<pg_sys::Oid>()
            })?;
            read_relation(client, oid.unwrap_or(pg_sys::InvalidOid), kinds)
        };
        match checked(argument, name, || find(client)) {
            Some(table) => table,
            None => raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("argument \"{argument}\": there is no table {name}"),
                format!("It is looked up in {}; write its schema before it, or create it first.", self.0),
            ),
        }
    }

    /// Resolves a query; one over the relation `changed` is told which table's rows these are.
    pub(crate) fn query(
        &self,
        client: &mut SpiClient<'_>,
        argument: &str,
        sql: &str,
        changed: Option<&Table>,
    ) -> Query {
        let sql = sql.trim().trim_end_matches(';');
        let resolve = |client: &mut SpiClient<'_>| {
            if let Some(table) = changed {
                let view = format!("create temp view changed as select * from {}", table.quoted());
                client.update(&view, None, &[])?;
            }
            let view = format!("create temp view pg_cdc_ods_query as (\n{sql}\n)");
            self.within(client, |client| client.update(&view, None, &[]).map(drop))?;
            let definition = "select pg_catalog.pg_get_viewdef('pg_temp.pg_cdc_ods_query'::regclass),
                                     'pg_temp.pg_cdc_ods_query'::regclass::oid";
            let (text, oid) =
                client.update(definition, Some(1), &[])?.first().get_two::<String, pg_sys::Oid>()?;
            let view = read_relation(client, oid.unwrap_or(pg_sys::InvalidOid), "{v}")?;
            let text = text.unwrap_or_default().trim().trim_end_matches(';').to_owned();
            let mut used_columns = None;
            if changed.is_some() {
                // A row as a whole is no column, and written like this; anything else is spelled out.
                if !text.contains(".*") {
                    used_columns = client.update(USED_COLUMNS, Some(1), &[])?.first().get_one()?;
                }
            }
            client.update("drop view pg_temp.pg_cdc_ods_query", None, &[])?;
            if changed.is_some() {
                client.update("drop view pg_temp.changed", None, &[])?;
            }
            let columns = view.map(|view| view.columns).unwrap_or_default();
            Ok(Query { text, columns, used_columns })
        };
        checked(argument, sql, || resolve(client))
    }
}

/// Runs a check of what a user gave; an ERROR in it names the argument.
fn checked<R>(argument: &str, value: &str, check: impl FnOnce() -> spi::Result<R>) -> R {
    let attempt = std::panic::AssertUnwindSafe(check);
    match subtransaction::run(move || { attempt }.0()) {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => spi_failed("cannot check what was configured", &error),
        Err(failure) => raise(
            failure.code,
            format!("invalid value for argument \"{argument}\": {}", failure.message),
            format!("This was given: {value}"),
        ),
    }
}

fn read_relation(client: &mut SpiClient<'_>, oid: pg_sys::Oid, kinds: &str) -> spi::Result<Option<Table>> {
    let rows = client.update(FIND_TABLE, Some(1), &[oid.into(), kinds.into()])?;
    let row = rows.first();
    if row.is_empty() {
        return Ok(None);
    }
    let names = row.get::<Vec<String>>(3)?.unwrap_or_default();
    let types = row.get::<Vec<String>>(4)?.unwrap_or_default();
    let columns = names.into_iter().zip(types).map(|(name, type_name)| Column { name, type_name }).collect();
    Ok(Some(Table {
        schema: row.get(1)?.unwrap_or_default(),
        name: row.get(2)?.unwrap_or_default(),
        columns,
        primary_key: row.get(5)?.unwrap_or_default(),
    }))
}

impl Table {
    /// The name as SQL writes it.
    pub(crate) fn quoted(&self) -> String {
        quote_qualified_identifier(&self.schema, &self.name)
    }

    /// A column by its name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// An ERROR unless each of these is a column.
    pub(crate) fn ensure_columns<'n>(&self, argument: &str, names: impl IntoIterator<Item = &'n String>) {
        for name in names {
            if self.column(name).is_none() {
                invalid(argument, name, &format!("{} has no such column.", self.quoted()));
            }
        }
    }
}
