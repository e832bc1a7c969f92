//! `cdc.attach()` and `cdc.detach()`: which source table feeds which target table.

use cdc_core::{ColumnRule, SourceTable};
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier, quote_qualified_identifier};
use pgrx::{JsonB, pg_sys};

use crate::apply::BOOKKEEPING;
use crate::sql_error::{invalid, one_of, raise, spi_failed};

const SAVE: &str = "
    insert into cdc.attachments as a (source_schema, source_table, target_schema, target_table, key, on_unknown,
                                      on_delete, columns, dropped, creates_target, owner)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
            (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (source_schema, source_table) do update
       set target_schema = excluded.target_schema, target_table = excluded.target_table, key = excluded.key,
           on_unknown = excluded.on_unknown, on_delete = excluded.on_delete, columns = excluded.columns,
           dropped = excluded.dropped, creates_target = excluded.creates_target, owner = excluded.owner
    returning attachment_id";

#[pg_extern]
fn attach(
    source: &str,
    target: &str,
    key: default!(Option<Vec<String>>, "null"),
    on_unknown: default!(&str, "'overflow'"),
    on_delete: default!(&str, "'delete'"),
    columns: default!(Option<JsonB>, "null"),
    dropped: default!(Option<Vec<String>>, "null"),
) -> i32 {
    let Some(source) = SourceTable::parse(source) else {
        invalid("source", source, "Write SCHEMA.TABLE, or *.TABLE for that table in any schema.")
    };
    one_of("on_unknown", on_unknown, &["overflow", "alter", "reject"]);
    one_of("on_delete", on_delete, &["delete", "soft", "ignore"]);
    let columns = columns.unwrap_or_else(|| JsonB(serde_json::json!({})));
    Spi::connect_mut(|client| {
        let table = Table::try_find(client, target);
        let creates_target = table.is_none();
        let (schema, name, key) = match table {
            Some(table) => {
                table.check_rights(client);
                table.check_rules(&columns.0);
                let key = table.key(client, key);
                table.add_bookkeeping(client);
                (table.schema, table.name, key)
            }
            None => to_be_created(client, target, key, &columns.0),
        };
        let args = [
            source.schema().into(),
            source.table().into(),
            schema.into(),
            name.into(),
            key.into(),
            on_unknown.into(),
            on_delete.into(),
            columns.into(),
            dropped.unwrap_or_default().into(),
            creates_target.into(),
        ];
        // Without a limit, which would end the statement before its triggers.
        let saved = client.update(SAVE, None, &args).and_then(|row| row.first().get_one::<i32>());
        saved.unwrap_or_else(|error| spi_failed("cannot write cdc.attachments", &error)).unwrap_or_default()
    })
}

/// The schema, name and key of a target that its first events will create. The key may be left to them.
fn to_be_created(
    client: &mut SpiClient<'_>,
    target: &str,
    key: Option<Vec<String>>,
    columns: &serde_json::Value,
) -> (String, String, Vec<String>) {
    if columns.as_object().is_none_or(|rules| !rules.is_empty()) {
        invalid("columns", target, "There is no such table yet. Rules need one: create it first.")
    }
    let (schema, name) = Table::parse(client, target);
    let may_create = client
        .select(
            "select has_schema_privilege(oid, 'create') from pg_namespace where nspname = $1",
            Some(1),
            &[schema.as_str().into()],
        )
        .and_then(|rows| if rows.is_empty() { Ok(None) } else { rows.first().get_one::<bool>() });
    match may_create {
        Ok(Some(true)) => (schema, name, key.unwrap_or_default()),
        Ok(Some(false)) => raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "argument \"target\": there is no table {target}, and you may not create one in schema {schema}"
            ),
            format!(
                "Create the table first, or get the right: grant create on schema {}.",
                quote_identifier(&schema)
            ),
        ),
        Ok(None) => invalid("target", target, "There is no such schema."),
        Err(error) => spi_failed("cannot read the catalog", &error),
    }
}

#[pg_extern]
fn detach(source: &str) {
    let Some(table) = SourceTable::parse(source) else {
        invalid("source", source, "Write it as in cdc.attachments: SCHEMA.TABLE or *.TABLE.")
    };
    let sql = "delete from cdc.attachments where source_schema = $1 and source_table = $2";
    let args = [table.schema().into(), table.table().into()];
    let deleted = Spi::connect_mut(|client| client.update(sql, None, &args).map(|rows| rows.len()));
    match deleted {
        Ok(0) => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("no target is attached to {table}"),
            "See cdc.attachments for what is attached.",
        ),
        Ok(_) => (),
        Err(error) => spi_failed("cannot write cdc.attachments", &error),
    }
}

/// A table as it is when something is configured for it.
pub(crate) struct Table {
    oid: pg_sys::Oid,
    schema: String,
    name: String,
    /// The names of its columns.
    pub(crate) columns: Vec<String>,
}

const FIND_TABLE: &str = "
    select c.oid, n.nspname::text, c.relname::text,
           array(select a.attname::text from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = to_regclass($1) and c.relkind in ('r', 'p')";

const MISSING_RIGHTS: &str = "
    select string_agg(privilege, ', ')
      from unnest(array['select', 'insert', 'update', 'delete']) as privilege
     where not has_table_privilege($1, privilege)";

const DEFINITIONS: &str = "
    select array_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) order by k.place)
      from unnest($2) with ordinality as k(name, place)
      join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attname = k.name";

const PRIMARY_KEY: &str = "
    select array_agg(a.attname::text order by k.place)
      from pg_catalog.pg_index i
     cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where i.indrelid = $1 and i.indisprimary";

const HAS_UNIQUE_INDEX: &str = "
    select exists (
        select from pg_catalog.pg_index i
         where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
           and (select array_agg(a.attname::text order by a.attname)
                  from unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
                  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where k.place <= i.indnkeyatts)
             = (select array_agg(name order by name) from unnest($2) as name))";

fn qualified(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("public.{name}") }
}

impl Table {
    /// The table that an argument names; an ERROR if there is none.
    pub(crate) fn find(client: &mut SpiClient<'_>, argument: &str, name: &str) -> Self {
        Self::try_find(client, name).unwrap_or_else(|| {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("argument \"{argument}\": there is no table {name}"),
                "Create it first, with a primary key; cdc.attach() adds the bookkeeping columns.",
            )
        })
    }

    /// The table of this name, in schema public if it names none; `None` if there is no such table.
    pub(crate) fn try_find(client: &mut SpiClient<'_>, name: &str) -> Option<Self> {
        let find = client.select(FIND_TABLE, Some(1), &[qualified(name).into()]).and_then(|rows| {
            let row = rows.first();
            if row.is_empty() {
                return Ok(None);
            }
            let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
            let oid = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            let columns = row.get(4)?.unwrap_or_default();
            Ok(Some(Self { oid, schema: text(2)?, name: text(3)?, columns }))
        });
        find.unwrap_or_else(|error| spi_failed("cannot read the catalog", &error))
    }

    /// The schema and name of a table that does not exist yet.
    pub(crate) fn parse(client: &mut SpiClient<'_>, name: &str) -> (String, String) {
        let parts = client
            .select("select parse_ident($1)", Some(1), &[qualified(name).into()])
            .and_then(|row| row.first().get_one::<Vec<String>>());
        match parts.map(Option::unwrap_or_default).as_deref() {
            Ok([schema, name]) => (schema.clone(), name.clone()),
            Ok(_) => invalid("target", name, "Write SCHEMA.TABLE."),
            Err(error) => spi_failed("cannot read a name", error),
        }
    }

    /// The definitions of some of its columns: names and types.
    pub(crate) fn definitions(&self, client: &mut SpiClient<'_>, columns: &[String]) -> Vec<String> {
        let args = [self.oid.into(), columns.to_vec().into()];
        let read =
            client.select(DEFINITIONS, Some(1), &args).and_then(|row| row.first().get_one::<Vec<String>>());
        read.unwrap_or_else(|error| spi_failed("cannot read the catalog", &error)).unwrap_or_default()
    }

    /// Rows are written with the rights of whoever attaches: better to miss one now than at the first event.
    pub(crate) fn check_rights(&self, client: &mut SpiClient<'_>) {
        let missing = client.select(MISSING_RIGHTS, Some(1), &[self.oid.into()]);
        match missing.and_then(|row| row.first().get_one::<String>()) {
            Ok(None) => (),
            Ok(Some(missing)) => raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("argument \"target\": you lack rights on {}: {missing}", self.quoted()),
                format!("Let its owner grant {missing} on {} to you.", self.quoted()),
            ),
            Err(error) => spi_failed("cannot read the catalog", &error),
        }
    }

    fn check_rules(&self, rules: &serde_json::Value) {
        let Some(rules) = rules.as_object() else {
            invalid("columns", &rules.to_string(), "Write a JSON object: target column to rule.")
        };
        for (column, rule) in rules {
            if !self.columns.contains(column) {
                invalid("columns", column, "Each name must be a column of the target.");
            }
            if let Err(error) = ColumnRule::from_json(rule) {
                invalid("columns", column, &error.to_string());
            }
        }
    }

    /// The key as given, else the primary key; there must be a unique index on exactly these columns.
    fn key(&self, client: &mut SpiClient<'_>, given: Option<Vec<String>>) -> Vec<String> {
        let primary_key = || {
            let row = Spi::get_one_with_args::<Vec<String>>(PRIMARY_KEY, &[self.oid.into()]);
            row.unwrap_or_else(|error| spi_failed("cannot read the catalog", &error))
        };
        let Some(key) = given.or_else(primary_key).filter(|key| !key.is_empty()) else {
            invalid("key", "", "The target has no primary key: name the columns that identify a row.")
        };
        if let Some(unknown) = key.iter().find(|name| !self.columns.contains(name)) {
            invalid("key", unknown, "Name columns of the target.");
        }
        self.check_unique_index(client, "key", &key);
        key
    }

    /// Rows are found by a unique index on exactly these columns, in any order.
    pub(crate) fn check_unique_index(&self, client: &mut SpiClient<'_>, argument: &str, key: &[String]) {
        let args = [self.oid.into(), key.to_vec().into()];
        let indexed =
            client.select(HAS_UNIQUE_INDEX, Some(1), &args).and_then(|row| row.first().get_one::<bool>());
        match indexed {
            Ok(Some(true)) => (),
            Ok(_) => {
                let columns: Vec<_> = key.iter().map(quote_identifier).collect();
                let hint = format!("create unique index on {} ({})", self.quoted(), columns.join(", "));
                invalid(argument, &key.join(", "), &format!("The key needs a unique index: {hint};"))
            }
            Err(error) => spi_failed("cannot read the catalog", &error),
        }
    }

    fn add_bookkeeping(&self, client: &mut SpiClient<'_>) {
        let missing: Vec<String> = BOOKKEEPING
            .iter()
            .filter(|(name, _)| !self.columns.iter().any(|column| column == name))
            .map(|(name, type_name)| format!("add column {name} {type_name}"))
            .collect();
        if missing.is_empty() {
            return;
        }
        let sql = format!("alter table {} {}", self.quoted(), missing.join(", "));
        if let Err(error) = client.update(&sql, None, &[]) {
            spi_failed("cannot add the bookkeeping columns", &error);
        }
    }

    /// Its name with its schema, quoted as needed.
    pub(crate) fn quoted(&self) -> String {
        quote_qualified_identifier(&self.schema, &self.name)
    }
}
