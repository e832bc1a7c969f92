//! Documents as endpoints get them, and their way into the outbox or to listeners.

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;

use super::backlog;
use super::rules::{Alert, Destination, Format, Origin, Route};
use crate::apply::parameter;
use crate::plan_cache;
use crate::settings::{self, OutboxOverflow};
use crate::sql_error::spi_failed;
use crate::workers;

/// Keys of rows, and the JSON that is told of each.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) keys: Vec<Option<String>>,
    pub(super) payloads: Vec<Option<String>>,
}

/// Most bytes of a notification; PostgreSQL takes less than 8,000.
const MOST_NOTIFICATION_BYTES: i32 = 7_999;

const ALERT: &str =
    "jsonb_build_object('notification_type', $6, 'priority', $7, 'timestamp', d.at, 'payload', d.data)";

const EVENT: &str = "jsonb_build_object(
    'event_type', $6 || case d.operation when 'insert' then '_CREATED' when 'update' then '_UPDATED' when 'delete' then '_DELETED'
                         else '' end,
    'event_id', d.event_id, 'timestamp', d.at, 'data', d.data,
    'metadata', jsonb_build_object('source', 'pg_cdc_ods', 'source_table', $7, 'schema_version', $9::integer,
        'processing_time_ms', round(1000 * extract(epoch from clock_timestamp() - now()), 3)))";

const CHANGE: &str = "jsonb_build_object('table', $7, 'operation', d.operation, 'data', d.data,
    'source_ts', d.data->'source_ts', 'consumer_id', 'pg_cdc_ods')";

const ROW: &str = "d.data";

/// A message that comes twice is the same event.
const ID_OF_MESSAGE: &str = "md5(concat_ws(' ', $2, t.key, t.payload))::uuid";
const NEW_ID: &str = "gen_random_uuid()";

/// A row that is only marked as deleted was deleted at its source.
const DOCUMENTS: &str = "
    with documents as (
        select d.place, $3 || ':' || d.key as key, d.event_id, {document} as body
          from (select t.place, t.key, t.payload::jsonb as data, {event_id} as event_id,
                       case when t.payload::jsonb->>'source_op' = 'd' then 'delete' else $8 end as operation,
                       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at
                  from unnest($4::text[], $5::text[]) with ordinality as t(key, payload, place)) d
    )";

const INSERT: &str = "
    insert into cdc.outbox (endpoint, key, event_id, kind, rule, body, bytes)
    select $1, key, event_id, $10, $2, body, octet_length(body::text) from documents order by place limit $11";

const NOTIFY: &str = "
    select count(pg_notify($1, case when octet_length(body::text) <= $10 then body::text else left(s.short::text, $10) end))
      from documents
     cross join lateral (select jsonb_build_object('truncated', true, 'key', key, 'route', $2) as short) s";

/// What the parameters of [`DOCUMENTS`] stand for.
struct Parameters<'p> {
    /// Endpoint or channel.
    to: &'p str,
    rule: &'p str,
    /// The table, quoted: what its keys are keys of.
    table: &'p str,
    batch: Batch,
    type_name: &'p str,
    /// Priority of an alert, source table of a route.
    detail: &'p str,
    operation: &'p str,
    schema_version: i64,
    origin: Origin,
}

/// Tells of keys that meet the condition of an alert.
pub(super) fn of_alert(client: &mut SpiClient<'_>, alert: &Alert, batch: Batch) {
    let parameters = Parameters {
        to: &alert.endpoint,
        rule: &alert.question.rule,
        table: &alert.table,
        batch,
        type_name: &alert.alert_type,
        detail: &alert.priority,
        operation: "",
        schema_version: 0,
        origin: Origin::Row,
    };
    put(client, "alert", ALERT, parameters);
}

/// Tells of changes.
pub(super) fn of_route(client: &mut SpiClient<'_>, route: &Route, operation: &str, batch: Batch) {
    let document = match route.format {
        Format::Event => EVENT,
        Format::Change => CHANGE,
        Format::Row => ROW,
    };
    let (Destination::Endpoint(to) | Destination::Channel(to)) = &route.destination;
    let parameters = Parameters {
        to,
        rule: &route.question.rule,
        table: &route.table,
        batch,
        type_name: &route.event_type,
        detail: &route.source_table,
        operation,
        schema_version: route.schema_version,
        origin: route.origin,
    };
    match &route.destination {
        Destination::Endpoint(_) => put(client, "route", document, parameters),
        Destination::Channel(_) => notify(client, document, parameters),
    }
}

impl Parameters<'_> {
    /// The common part of the statements.
    fn documents(&self, document: &str) -> String {
        let event_id = if self.origin == Origin::Message { ID_OF_MESSAGE } else { NEW_ID };
        DOCUMENTS.replace("{document}", document).replace("{event_id}", event_id)
    }

    fn datums(self) -> Vec<DatumWithOid<'static>> {
        let text = |text: &str| text.to_owned().into();
        vec![
            text(self.to),
            text(self.rule),
            text(self.table),
            parameter("text", self.batch.keys).datum,
            parameter("text", self.batch.payloads).datum,
            text(self.type_name),
            text(self.detail),
            text(self.operation),
            self.schema_version.into(),
        ]
    }
}

/// Puts documents into the outbox, as far as there is room.
fn put(client: &mut SpiClient<'_>, kind: &str, document: &str, parameters: Parameters<'_>) {
    let (endpoint, wanted) = (parameters.to.to_owned(), parameters.batch.keys.len() as i64);
    let room = backlog::room(client, &endpoint, wanted).max(0);
    let policy = settings::OUTBOX_OVERFLOW.get();
    let limit = if policy == OutboxOverflow::DiscardNew { room.min(wanted) } else { wanted };
    let sql = parameters.documents(document) + INSERT;
    let mut args = parameters.datums();
    args.extend([kind.to_owned().into(), limit.into()]);
    let written = run(client, &sql, &args);
    backlog::add(&endpoint, written);
    if wanted > room {
        let discarded = match policy {
            OutboxOverflow::DiscardNew => wanted - written,
            OutboxOverflow::DiscardOld => discard_old(client, &endpoint, wanted - room),
        };
        note_overflow(client, &endpoint, discarded);
    }
    workers::wake_push_worker_at_commit();
}

/// Those in the push worker's hands are left to it.
const DISCARD_OLD: &str = "
    delete from cdc.outbox
     where id in (select id from cdc.outbox where endpoint = $1 and leased_until is null
                   order by id limit $2 for update skip locked)";

fn discard_old(client: &mut SpiClient<'_>, endpoint: &str, documents: i64) -> i64 {
    let discarded = run(client, DISCARD_OLD, &[endpoint.into(), documents.into()]);
    backlog::add(endpoint, -discarded);
    discarded
}

/// A row for each overflow, and no counter: nobody waits here for another transaction.
fn note_overflow(client: &mut SpiClient<'_>, endpoint: &str, discarded: i64) {
    if discarded > 0 {
        let sql = "insert into cdc.outbox_overflow (endpoint, discarded) values ($1, $2)";
        run(client, sql, &[endpoint.into(), discarded.into()]);
    }
}

fn notify(client: &mut SpiClient<'_>, document: &str, parameters: Parameters<'_>) {
    let sql = parameters.documents(document) + NOTIFY;
    let mut args = parameters.datums();
    args.push(MOST_NOTIFICATION_BYTES.into());
    run(client, &sql, &args);
}

fn run(client: &mut SpiClient<'_>, sql: &str, args: &[DatumWithOid<'_>]) -> i64 {
    match plan_cache::update(client, sql, args) {
        Ok(rows) => rows.len() as i64,
        Err(error) => spi_failed("cannot put documents into cdc.outbox", &error),
    }
}
