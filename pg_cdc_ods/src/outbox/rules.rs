//! The rules as they are stored.

use pgrx::prelude::*;
use pgrx::spi::{self, SpiClient};

use crate::plan_cache;
use crate::sql_error::spi_failed;

/// What a rule asks for: its query over the relation `changed` gives `key` and `payload`, which is null where the
/// condition is not met.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) kind: &'static str,
    pub(super) rule: String,
    pub(super) query: String,
    /// The role whose rights the query has.
    pub(super) owner: pg_sys::Oid,
    /// Whether that role may read the table. Changed rows are handed to the query, so it is not found out there.
    pub(super) may_read: bool,
}

/// A rule that tells once of each key that comes to meet a condition.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) question: Question,
    /// The table or view, quoted.
    pub(super) table: String,
    /// The columns of the key as texts, e.g. `order_id::text`.
    pub(super) key: String,
    pub(super) alert_type: String,
    pub(super) priority: String,
    pub(super) endpoint: String,
}

/// A rule that tells of every change that meets a condition.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) question: Question,
    /// The table, quoted, or the pattern of topics.
    pub(super) table: String,
    pub(super) origin: Origin,
    pub(super) destination: Destination,
    pub(super) event_type: String,
    pub(super) format: Format,
    pub(super) operations: Vec<String>,
    /// The tables at the source that feed the table; the table itself if there is none.
    pub(super) source_table: String,
    /// 1, and 1 more with each change of the sources' columns.
    pub(super) schema_version: i64,
}

/// What a document tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A row of a table or a view.
    Row,
    /// A message as it came.
    Message,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// To an endpoint, by the outbox.
    Endpoint(String),
    /// To whoever listens on a channel.
    Channel(String),
}

/// What the document of a route looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Type, id and time of an event around the data.
    Event,
    /// Table and operation around the data.
    Change,
    /// The data alone.
    Row,
}

impl Format {
    /// The format of this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "event" => Some(Self::Event),
            "change" => Some(Self::Change),
            "row" => Some(Self::Row),
            _ => None,
        }
    }
}

const ALERTS: &str = "
    select a.name, a.query, a.owner::oid, format('%I.%I', a.table_schema, a.table_name), a.type, a.priority, a.endpoint,
           (select string_agg(format('%I::text', k), ', ') from unnest(a.key) as k), {may_read}
      from cdc.alerts a";

/// Whether the owner of a rule may read its table.
const MAY_READ: &str =
    "has_table_privilege(a.owner, to_regclass(format('%I.%I', a.table_schema, a.table_name)), 'select')";

const OF_RELATION: &str = "
      join pg_catalog.pg_namespace n on n.nspname = a.table_schema
      join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = a.table_name
     where c.oid = $1";

impl Alert {
    /// Those on a table whose changes are seen.
    pub(super) fn on_table(client: &mut SpiClient<'_>, relation: pg_sys::Oid) -> Vec<Self> {
        Self::read(
            client,
            &format!("{ALERTS} {OF_RELATION} and not a.polled order by a.name"),
            Some(relation),
        )
    }

    /// Those on views, which have to be looked at.
    pub(super) fn polled(client: &mut SpiClient<'_>) -> Vec<Self> {
        Self::read(client, &format!("{ALERTS} where a.polled and $1 is null order by a.name"), None)
    }

    fn read(client: &mut SpiClient<'_>, sql: &str, relation: Option<pg_sys::Oid>) -> Vec<Self> {
        let sql = sql.replace("{may_read}", MAY_READ);
        let read = |client: &mut SpiClient<'_>| -> spi::Result<Vec<Self>> {
            let mut alerts = Vec::new();
            for row in plan_cache::update(client, &sql, &[relation.into()])?.iter() {
                let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
                alerts.push(Self {
                    question: Question {
                        kind: "alert",
                        rule: text(1)?,
                        query: text(2)?,
                        owner: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                        may_read: row.get(9)?.unwrap_or(false),
                    },
                    table: text(4)?,
                    alert_type: text(5)?,
                    priority: text(6)?,
                    endpoint: text(7)?,
                    key: text(8)?,
                });
            }
            Ok(alerts)
        };
        read(client).unwrap_or_else(|error| spi_failed("cannot read cdc.alerts", &error))
    }
}

const ROUTES: &str = "
    select a.name, a.query, a.owner::oid, coalesce(a.topic, format('%I.%I', a.table_schema, a.table_name)), a.endpoint,
           a.channel, a.type, a.format, a.operations, coalesce(s.tables, a.topic, a.table_name),
           coalesce(s.changes, 0) + 1, a.topic is not null or {may_read}, a.topic is not null
      from cdc.routes a
      left join lateral (
        select string_agg(distinct t.source_table, ', ') as tables, count(h.id) as changes
          from cdc.attachments t
          left join cdc.schema_history h on h.source = t.source_schema || '.' || t.source_table
         where t.target_schema = a.table_schema and t.target_table = a.table_name) s on true";

impl Route {
    /// Those on a table.
    pub(super) fn on_table(client: &mut SpiClient<'_>, relation: pg_sys::Oid) -> Vec<Self> {
        Self::read(client, &format!("{ROUTES} {OF_RELATION} order by a.name"), Some(relation))
    }

    /// Those that look at messages.
    pub(super) fn by_topic(client: &mut SpiClient<'_>) -> Vec<Self> {
        Self::read(
            client,
            &format!("{ROUTES} where a.topic is not null and $1 is null order by a.name"),
            None,
        )
    }

    fn read(client: &mut SpiClient<'_>, sql: &str, relation: Option<pg_sys::Oid>) -> Vec<Self> {
        let sql = sql.replace("{may_read}", MAY_READ);
        let read = |client: &mut SpiClient<'_>| -> spi::Result<Vec<Self>> {
            let mut routes = Vec::new();
            for row in plan_cache::update(client, &sql, &[relation.into()])?.iter() {
                let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
                let destination = match row.get::<String>(5)? {
                    Some(endpoint) => Destination::Endpoint(endpoint),
                    None => Destination::Channel(text(6)?),
                };
                routes.push(Self {
                    question: Question {
                        kind: "route",
                        rule: text(1)?,
                        query: text(2)?,
                        owner: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                        may_read: row.get(12)?.unwrap_or(false),
                    },
                    table: text(4)?,
                    origin: if row.get(13)?.unwrap_or(false) { Origin::Message } else { Origin::Row },
                    destination,
                    event_type: text(7)?,
                    format: Format::parse(&text(8)?).unwrap_or(Format::Row),
                    operations: row.get(9)?.unwrap_or_default(),
                    source_table: text(10)?,
                    schema_version: row.get(11)?.unwrap_or(1),
                });
            }
            Ok(routes)
        };
        read(client).unwrap_or_else(|error| spi_failed("cannot read cdc.routes", &error))
    }
}
