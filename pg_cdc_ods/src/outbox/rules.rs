//! The rules as they are stored.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::spi::{self, SpiClient};

use crate::configuration_watch::Kept;
use crate::plan_cache;
use crate::spi_rows::Row;
use crate::sql_error::spi_failed;

thread_local! {
    static RULES: RefCell<Kept<Rules>> = RefCell::default();
}

/// All rules, in the order of their names.
pub(super) struct Rules {
    alerts: Vec<Alert>,
    routes: Vec<Route>,
}

/// What a rule asks for: its query over the relation `changed` gives `key` and `payload`, which is null where the
/// condition is not met.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) kind: &'static str,
    pub(super) rule: String,
    pub(super) query: String,
    /// The role whose rights the query has.
    pub(super) owner: pg_sys::Oid,
    /// The table or view that it is about; `None` if that is messages. The invalid oid if it does not exist.
    relation: Option<pg_sys::Oid>,
}

impl Question {
    /// Whether the owner may read the table. Changed rows are handed to the query, so it is not found out there.
    pub(super) fn may_read(&self) -> bool {
        let Some(relation) = self.relation else { return true };
        let mut is_missing = false;
        // SAFETY: looks up the catalog within a transaction; that there is no such table is told, and no error.
        let allowed = unsafe {
            pg_sys::pg_class_aclcheck_ext(
                relation,
                self.owner,
                pg_sys::ACL_SELECT as pg_sys::AclMode,
                &mut is_missing,
            )
        };
        !is_missing && allowed == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// A rule that tells once of each key that comes to meet a condition.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) question: Question,
    /// The table or view, quoted.
    pub(super) table: String,
    /// The columns of the key as texts, e.g. `order_id::text`.
    pub(super) key: String,
    /// The numbers of these columns.
    pub(super) key_columns: Vec<i16>,
    /// Whether it has to be looked at, as an alert on a view.
    polled: bool,
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
           (select string_agg(format('%I::text', k), ', ') from unnest(a.key) as k), coalesce(r.relation, 0),
           (select array_agg(c.attnum) from pg_catalog.pg_attribute c
             where c.attrelid = r.relation and c.attname = any (a.key) and c.attnum > 0), a.polled
      from cdc.alerts a
     cross join lateral (select to_regclass(format('%I.%I', a.table_schema, a.table_name))::oid as relation) r
     order by a.name";

impl Rules {
    /// The rules as they are now, read only if they have changed.
    pub(super) fn current(client: &mut SpiClient<'_>) -> Rc<Self> {
        Kept::get(&RULES, || {
            let rules =
                Self { alerts: read(client, ALERTS, Alert::read), routes: read(client, ROUTES, Route::read) };
            let watched = rules.relations();
            (rules, watched)
        })
    }

    /// The tables and views of all rules; `None` if one is missing: it would tell nobody when it comes.
    fn relations(&self) -> Option<Vec<pg_sys::Oid>> {
        let questions = (self.alerts.iter().map(|alert| &alert.question))
            .chain(self.routes.iter().map(|route| &route.question));
        let relations = questions.filter_map(|question| question.relation);
        relations.map(|relation| (relation != pg_sys::InvalidOid).then_some(relation)).collect()
    }

    /// The alerts on a table whose changes are seen.
    pub(super) fn alerts_on(&self, relation: pg_sys::Oid) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(move |alert| !alert.polled && alert.question.relation == Some(relation))
    }

    /// The alerts on views, which have to be looked at.
    pub(super) fn polled_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.polled)
    }

    /// The routes of a table.
    pub(super) fn routes_of(&self, relation: pg_sys::Oid) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| route.question.relation == Some(relation))
    }

    /// The routes that look at messages.
    pub(super) fn routes_by_topic(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.origin == Origin::Message)
    }
}

fn read<T>(client: &mut SpiClient<'_>, sql: &str, of_row: fn(Row<'_>) -> spi::Result<T>) -> Vec<T> {
    plan_cache::update(client, sql, &[])
        .and_then(|rows| rows.iter().map(of_row).collect())
        .unwrap_or_else(|error| spi_failed("cannot read the rules", &error))
}

impl Alert {
    fn read(row: Row<'_>) -> spi::Result<Self> {
        let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
        Ok(Self {
            question: Question {
                kind: "alert",
                rule: text(1)?,
                query: text(2)?,
                owner: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                relation: row.get(9)?,
            },
            table: text(4)?,
            alert_type: text(5)?,
            priority: text(6)?,
            endpoint: text(7)?,
            key: text(8)?,
            key_columns: row.get(10)?.unwrap_or_default(),
            polled: row.get(11)?.unwrap_or_default(),
        })
    }
}

const ROUTES: &str = "
    select a.name, a.query, a.owner::oid, coalesce(a.topic, format('%I.%I', a.table_schema, a.table_name)), a.endpoint,
           a.channel, a.type, a.format, a.operations, coalesce(s.tables, a.topic, a.table_name),
           coalesce(s.changes, 0) + 1, a.topic is not null,
           case when a.topic is null
                then coalesce(to_regclass(format('%I.%I', a.table_schema, a.table_name))::oid, 0) end
      from cdc.routes a
      left join lateral (
        select string_agg(distinct t.source_table, ', ') as tables, count(h.id) as changes
          from cdc.attachments t
          left join cdc.schema_history h on h.source = t.source_schema || '.' || t.source_table
         where t.target_schema = a.table_schema and t.target_table = a.table_name) s on true
     order by a.name";

impl Route {
    fn read(row: Row<'_>) -> spi::Result<Self> {
        let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
        let destination = match row.get::<String>(5)? {
            Some(endpoint) => Destination::Endpoint(endpoint),
            None => Destination::Channel(text(6)?),
        };
        Ok(Self {
            question: Question {
                kind: "route",
                rule: text(1)?,
                query: text(2)?,
                owner: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                relation: row.get(13)?,
            },
            table: text(4)?,
            origin: if row.get(12)?.unwrap_or(false) { Origin::Message } else { Origin::Row },
            destination,
            event_type: text(7)?,
            format: Format::parse(&text(8)?).unwrap_or(Format::Row),
            operations: row.get(9)?.unwrap_or_default(),
            source_table: text(10)?,
            schema_version: row.get(11)?.unwrap_or(1),
        })
    }
}
