//! `cdc.alert()` and `cdc.route()`: rules are checked, resolved and stored; and their removal.

use cdc_core::TopicPattern;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier};

use super::rules::Format;
use crate::change_triggers::ChangeTriggers;
use crate::resolve::{SearchPath, Table};
use crate::sql_error::{invalid, one_of, raise, spi_failed};

const TRIGGERS: ChangeTriggers = ChangeTriggers { prefix: "cdc_rules", function: "cdc.rules_changed" };
const HAS_RULE: &str = "
    select exists (select from cdc.alerts where table_schema = $1 and table_name = $2 and not polled)
        or exists (select from cdc.routes where table_schema = $1 and table_name = $2)";

const PRIORITIES: [&str; 4] = ["LOW", "MEDIUM", "HIGH", "CRITICAL"];
const OPERATIONS: [&str; 3] = ["insert", "update", "delete"];

/// What alerts and routes have in common, as it was given.
struct Rule<'r> {
    table: Table,
    path: SearchPath<'r>,
    condition: &'r str,
    payload: Option<&'r str>,
    key: Option<Vec<String>>,
}

/// A rule that was checked.
struct Checked {
    key: Vec<String>,
    query: String,
}

impl Rule<'_> {
    /// Checks condition, payload and key, each by itself, so that an error names the argument.
    fn check(self, client: &mut SpiClient<'_>) -> Checked {
        ensure_readable(client, &self.table);
        let key = self.key.unwrap_or_else(|| self.table.primary_key.clone());
        if key.is_empty() {
            let hint =
                format!("{} has no primary key: name the columns that identify a row.", self.table.quoted());
            invalid("key", "", &hint);
        }
        self.table.ensure_columns("key", &key);
        let alias = quote_identifier(&self.table.name);
        let condition = format!("({}\n) is true", self.condition);
        // Its position in the source is of no use to anybody else.
        let payload = match self.payload {
            Some(payload) => format!("coalesce(to_jsonb({payload}\n), 'null')"),
            None if self.table.column("source_pos").is_some() => {
                format!("to_jsonb({alias}.*) - 'source_pos'")
            }
            None if self.table.schema == "cdc" && self.table.name == "routed_messages" => {
                "payload".to_owned()
            }
            None => format!("to_jsonb({alias}.*)"),
        };
        let columns: Vec<_> =
            key.iter().map(|column| format!("{alias}.{}", quote_identifier(column))).collect();
        let key_text = match &columns[..] {
            [column] => format!("{column}::text"),
            columns => format!("jsonb_build_array({})::text", columns.join(", ")),
        };
        let mut resolve = |argument: &str, columns: &str| {
            let sql = format!("select {columns} from changed as {alias}");
            self.path.query(client, argument, &sql, Some(&self.table)).text
        };
        resolve("condition", &format!("{condition} as met"));
        resolve("payload", &format!("{payload} as payload"));
        let query = resolve(
            "key",
            &format!("{key_text} as key, case when {condition} then {payload} end as payload"),
        );
        Checked { key, query }
    }
}

fn ensure_readable(client: &mut SpiClient<'_>, table: &Table) {
    let sql = "select has_table_privilege(to_regclass(format('%I.%I', $1, $2)), 'select')";
    let args = [table.schema.as_str().into(), table.name.as_str().into()];
    let readable = client.update(sql, Some(1), &args).and_then(|row| row.first().get_one::<bool>());
    match readable {
        Ok(Some(true)) => (),
        Ok(_) => raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("you may not read {}", table.quoted()),
            "The rule reads it with your rights: let its owner grant select on it to you.",
        ),
        Err(error) => spi_failed("cannot read the catalog", &error),
    }
}

fn ensure_given(argument: &str, value: &str) {
    if value.is_empty() {
        invalid(argument, value, "It cannot be empty.");
    }
}

fn ensure_endpoint(client: &mut SpiClient<'_>, argument: &str, name: &str) {
    let sql = "select exists (select from cdc.endpoints where name = $1)";
    match client.update(sql, Some(1), &[name.into()]).and_then(|row| row.first().get_one::<bool>()) {
        Ok(Some(true)) => (),
        Ok(_) => invalid(argument, name, "There is no such endpoint: make it first with cdc.endpoint()."),
        Err(error) => spi_failed("cannot read cdc.endpoints", &error),
    }
}

/// Whether changes of a relation can only be seen by looking at it: views have no rows of their own, and nobody but the
/// extension's owner can put triggers on its tables.
fn is_polled(client: &mut SpiClient<'_>, table: &Table) -> bool {
    let sql = "select relkind not in ('r', 'p') from pg_catalog.pg_class where oid = to_regclass(format('%I.%I', $1, $2))";
    let args = [table.schema.as_str().into(), table.name.as_str().into()];
    let polled = client.update(sql, Some(1), &args).and_then(|row| row.first().get_one::<bool>());
    table.schema == "cdc"
        || polled.unwrap_or_else(|error| spi_failed("cannot read the catalog", &error)).unwrap_or(true)
}

const SAVE_ALERT: &str = "
    insert into cdc.alerts (name, table_schema, table_name, polled, condition, type, priority, payload, endpoint, key,
                            query, owner)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
            (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (name) do update
       set table_schema = excluded.table_schema, table_name = excluded.table_name, polled = excluded.polled,
           condition = excluded.condition, type = excluded.type, priority = excluded.priority,
           payload = excluded.payload, endpoint = excluded.endpoint, key = excluded.key, query = excluded.query,
           owner = excluded.owner";

/// An alert that asks for something else has not been sent for any key.
const FORGET_OTHER_QUESTION: &str = "
    delete from cdc.alerts_firing f using cdc.alerts a
     where f.alert = $1 and a.name = $1 and (a.table_schema, a.table_name, a.query) <> ($2, $3, $4)";

#[pg_extern(sql = "
create function cdc.alert(name text, on_table text, condition text, type text, priority text default 'HIGH',
                          payload text default null, endpoint text default null, key text[] default null,
                          search_path text default current_setting('search_path'))
    returns void language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
")]
#[expect(clippy::too_many_arguments, reason = "an SQL function has its options as named arguments")]
fn alert(
    name: &str,
    on_table: &str,
    condition: &str,
    alert_type: &str,
    priority: &str,
    payload: Option<&str>,
    endpoint: Option<&str>,
    key: Option<Vec<String>>,
    search_path: &str,
) {
    ensure_given("name", name);
    ensure_given("type", alert_type);
    one_of("priority", priority, &PRIORITIES);
    let Some(endpoint) = endpoint else { invalid("endpoint", "", "Name one; see cdc.endpoints.") };
    Spi::connect_mut(|client| {
        ensure_endpoint(client, "endpoint", endpoint);
        let before = table_of(client, "alerts", name);
        let path = SearchPath(search_path);
        let table = path.relation(client, "on_table", on_table, "{r,p,v,m,f}");
        let polled = is_polled(client, &table);
        if !polled {
            TRIGGERS.create(client, &table);
        }
        let (schema, table_name) = (table.schema.clone(), table.name.clone());
        let checked = Rule { table, path, condition, payload, key }.check(client);
        let question =
            [name.into(), schema.as_str().into(), table_name.as_str().into(), checked.query.as_str().into()];
        write(client, FORGET_OTHER_QUESTION, &question);
        let args = [
            name.into(),
            schema.as_str().into(),
            table_name.as_str().into(),
            polled.into(),
            condition.into(),
            alert_type.into(),
            priority.into(),
            payload.into(),
            endpoint.into(),
            checked.key.into(),
            checked.query.as_str().into(),
        ];
        write(client, SAVE_ALERT, &args);
        TRIGGERS.drop_needless(client, &before, HAS_RULE);
    });
}

const SAVE_ROUTE: &str = "
    insert into cdc.routes (name, source, topic, table_schema, table_name, condition, destination, endpoint, channel, type,
                            format, payload, operations, key, query, owner)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
            (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (name) do update
       set source = excluded.source, topic = excluded.topic, table_schema = excluded.table_schema, table_name = excluded.table_name,
           condition = excluded.condition, destination = excluded.destination, endpoint = excluded.endpoint,
           channel = excluded.channel, type = excluded.type, format = excluded.format, payload = excluded.payload,
           operations = excluded.operations, key = excluded.key, query = excluded.query, owner = excluded.owner";

#[pg_extern(sql = "
create function cdc.route(name text, source text, condition text, destination text, type text default null,
                          format text default 'event', payload text default null,
                          operations text[] default '{insert,update,delete}', key text[] default null,
                          search_path text default current_setting('search_path'))
    returns void language c as '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
")]
#[expect(clippy::too_many_arguments, reason = "an SQL function has its options as named arguments")]
fn route(
    name: &str,
    source: &str,
    condition: &str,
    destination: &str,
    event_type: Option<&str>,
    format: &str,
    payload: Option<&str>,
    operations: Vec<String>,
    key: Option<Vec<String>>,
    search_path: &str,
) {
    ensure_given("name", name);
    if Format::parse(format).is_none() {
        invalid("format", format, "It is one of: event, change, row.");
    }
    operations.iter().for_each(|operation| one_of("operations", operation, &OPERATIONS));
    Spi::connect_mut(|client| {
        let (endpoint, channel) = parse_destination(client, destination);
        let before = table_of(client, "routes", name);
        let path = SearchPath(search_path);
        let (topic, table) = route_source(client, &path, source);
        let (mut schema, mut table_name, mut key) = (None, None, key);
        if topic.is_none() {
            TRIGGERS.create(client, &table);
            (schema, table_name) = (Some(table.schema.clone()), Some(table.name.clone()));
        } else if key.is_none() {
            key = Some(vec!["topic".to_owned()]);
        }
        let event_type = event_type.map_or_else(|| default_type(table_name.as_deref()), str::to_owned);
        let checked = Rule { table, path, condition, payload, key }.check(client);
        let args = [
            name.into(),
            source.into(),
            topic.into(),
            schema.into(),
            table_name.into(),
            condition.into(),
            destination.into(),
            endpoint.into(),
            channel.into(),
            event_type.as_str().into(),
            format.into(),
            payload.into(),
            operations.into(),
            checked.key.into(),
            checked.query.as_str().into(),
        ];
        write(client, SAVE_ROUTE, &args);
        TRIGGERS.drop_needless(client, &before, HAS_RULE);
    });
}

/// The endpoint or the channel that a destination names.
fn parse_destination<'d>(
    client: &mut SpiClient<'_>,
    destination: &'d str,
) -> (Option<&'d str>, Option<&'d str>) {
    match destination.split_once(':') {
        Some(("endpoint", name)) => {
            ensure_endpoint(client, "destination", name);
            (Some(name), None)
        }
        // PostgreSQL's names, and so its channels, have at most 63 bytes.
        Some(("notify", channel)) if (1..64).contains(&channel.len()) => (None, Some(channel)),
        _ => invalid(
            "destination",
            destination,
            "Write endpoint:NAME, or notify:CHANNEL with at most 63 bytes.",
        ),
    }
}

const ATTACHED_TARGET: &str = "
    select format('%I.%I', target_schema, target_table) from cdc.attachments
     where $1 in (source_schema || '.' || source_table, source_table) order by source_schema = '*' desc limit 1";

/// What a route looks at: the messages of a pattern of topics, the table that a source table feeds, or the table of this
/// name.
fn route_source<'s>(
    client: &mut SpiClient<'_>,
    path: &SearchPath<'_>,
    source: &'s str,
) -> (Option<&'s str>, Table) {
    if source.contains('/') {
        if TopicPattern::parse(source).is_none() {
            invalid("source", source, "A pattern of topics looks like cdc/oracle/*/ORDERS/>.");
        }
        return (Some(source), path.relation(client, "source", "cdc.routed_messages", "{v}"));
    }
    let attached = client
        .update(ATTACHED_TARGET, Some(1), &[source.into()])
        .and_then(|rows| if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() });
    let attached = attached.unwrap_or_else(|error| spi_failed("cannot read cdc.attachments", &error));
    (None, path.table(client, "source", attached.as_deref().unwrap_or(source)))
}

/// What the event types of a table begin with: its name in capitals, without `cdc_` and the S of the plural.
fn default_type(table: Option<&str>) -> String {
    let Some(table) = table else { return "MESSAGE".to_owned() };
    let name = table.strip_prefix("cdc_").unwrap_or(table).to_uppercase();
    name.strip_suffix('S').map_or_else(|| name.clone(), str::to_owned)
}

/// The table of a rule that is there already.
fn table_of(client: &mut SpiClient<'_>, rules: &str, name: &str) -> Vec<(String, String)> {
    let sql = format!(
        "select table_schema, table_name from cdc.{rules} where name = $1 and table_name is not null"
    );
    let tables = client.update(&sql, Some(1), &[name.into()]).and_then(|rows| {
        let mut tables = Vec::new();
        for row in rows {
            tables.push((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()));
        }
        Ok(tables)
    });
    tables.unwrap_or_else(|error| spi_failed("cannot read the rules", &error))
}

#[pg_extern]
fn drop_alert(name: &str) {
    drop_rule("alerts", "alert", name);
}

#[pg_extern]
fn drop_route(name: &str) {
    drop_rule("routes", "route", name);
}

fn drop_rule(rules: &str, kind: &str, name: &str) {
    Spi::connect_mut(|client| {
        let before = table_of(client, rules, name);
        if write(client, &format!("delete from cdc.{rules} where name = $1"), &[name.into()]) == 0 {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("there is no {kind} {name}"),
                format!("See cdc.{rules} for those there are."),
            );
        }
        TRIGGERS.drop_needless(client, &before, HAS_RULE);
    });
}

fn write(client: &mut SpiClient<'_>, sql: &str, args: &[DatumWithOid<'_>]) -> usize {
    match client.update(sql, None, args) {
        Ok(rows) => rows.len(),
        Err(error) => spi_failed("cannot write a rule", &error),
    }
}
