-- What is sent out: endpoints, alerts and routes, the outbox, and what can be seen of it.

-- Endpoints ----------------------------------------------------------------------------------------------------------

create table cdc.endpoints (
    name text primary key check (name <> ''),
    url text not null,
    timeout interval not null,
    connect_timeout interval not null,
    max_attempts integer not null,
    backoff interval not null,
    max_backoff interval not null,
    breaker_failures integer not null,
    breaker_open interval not null,
    concurrency integer not null,
    max_rate integer,
    batch_size integer not null,
    batch_member text not null,
    batch_bytes integer not null,
    ca text
);
comment on table cdc.endpoints is 'Where documents are sent to; made by cdc.endpoint().';
comment on column cdc.endpoints.timeout is 'Time for a whole request.';
comment on column cdc.endpoints.connect_timeout is 'Time for name resolution, TCP and TLS together.';
comment on column cdc.endpoints.max_attempts is 'Attempts after which a delivery is dead.';
comment on column cdc.endpoints.backoff is 'Longest pause after the first attempt; it doubles with each.';
comment on column cdc.endpoints.breaker_failures is 'Failures in a row after which nothing is sent for a while.';
comment on column cdc.endpoints.breaker_open is 'How long nothing is sent then, before one request probes the endpoint.';
comment on column cdc.endpoints.concurrency is 'Requests under way at the same time.';
comment on column cdc.endpoints.max_rate is 'Most requests in a second; null: no bound.';
comment on column cdc.endpoints.batch_size is 'Most documents in one request; 1: each alone.';
comment on column cdc.endpoints.batch_member is 'The member of a batch''s JSON object that holds the documents.';
comment on column cdc.endpoints.batch_bytes is 'Most bytes of documents in one request.';
comment on column cdc.endpoints.ca is 'The only authorities that are believed, in PEM; null: those of the system.';
select pg_catalog.pg_extension_config_dump('cdc.endpoints', '');

create table cdc.endpoint_secrets (
    endpoint text primary key references cdc.endpoints on update cascade on delete cascade,
    auth jsonb,
    headers jsonb
);
comment on table cdc.endpoint_secrets is 'Credentials and headers of endpoints. Only cdc_admin may read it.';
select pg_catalog.pg_extension_config_dump('cdc.endpoint_secrets', '');

create trigger endpoints_changed after insert or update or delete or truncate on cdc.endpoints
    for each statement execute function cdc.endpoints_changed();
create trigger endpoints_changed after insert or update or delete or truncate on cdc.endpoint_secrets
    for each statement execute function cdc.endpoints_changed();

-- Rules --------------------------------------------------------------------------------------------------------------

create table cdc.alerts (
    name text primary key check (name <> ''),
    table_schema text not null,
    table_name text not null,
    polled boolean not null,
    condition text not null,
    type text not null check (type <> ''),
    priority text not null check (priority in ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    payload text,
    endpoint text not null references cdc.endpoints on update cascade,
    key text[] not null check (cardinality(key) > 0),
    query text not null,
    owner regrole not null
);
comment on table cdc.alerts is 'Which states of which rows are told to whom, once; made by cdc.alert().';
comment on column cdc.alerts.polled is 'It is looked at by cdc.maintain(), since changes of a view are not seen.';
comment on column cdc.alerts.query is 'Key and payload of changed rows, with the full names of what it reads; made of the rest.';
comment on column cdc.alerts.owner is 'The role that configured it: its SQL runs with that role''s rights.';
select pg_catalog.pg_extension_config_dump('cdc.alerts', '');

create table cdc.routes (
    name text primary key check (name <> ''),
    source text not null,
    topic text,
    table_schema text,
    table_name text,
    condition text not null,
    destination text not null,
    endpoint text references cdc.endpoints on update cascade,
    channel text check (length(channel) between 1 and 63),
    type text not null,
    format text not null check (format in ('event', 'change', 'row')),
    payload text,
    operations text[] not null check (operations <@ array['insert', 'update', 'delete']),
    key text[] not null check (cardinality(key) > 0),
    query text not null,
    owner regrole not null,
    check ((endpoint is null) <> (channel is null)),
    check ((table_schema is null) = (table_name is null)),
    check ((topic is null) <> (table_name is null))
);
comment on table cdc.routes is 'Which changes of which tables, or messages of which topics, are told to whom, each; made by cdc.route().';
comment on column cdc.routes.type is 'What the event types begin with, as ORDER in ORDER_CREATED.';
comment on column cdc.routes.query is 'Key and data of changed rows, with the full names of what it reads; made of the rest.';
comment on column cdc.routes.owner is 'The role that configured it: its SQL runs with that role''s rights.';
select pg_catalog.pg_extension_config_dump('cdc.routes', '');

create view cdc.routed_messages as
    select topic, null::jsonb as payload, headers, stream from cdc.inbox where false;
comment on view cdc.routed_messages is
    'The columns that a route by topic can name. It has no rows: the messages of a batch stand in for it.';

create trigger check_configuration_owner before insert or update on cdc.alerts
    for each row execute function cdc.check_configuration_owner();
create trigger check_configuration_owner before insert or update on cdc.routes
    for each row execute function cdc.check_configuration_owner();

create table cdc.alerts_firing (
    alert text not null references cdc.alerts on update cascade on delete cascade,
    key text not null,
    since timestamptz not null default now(),
    primary key (alert, key)
);
comment on table cdc.alerts_firing is
    'Keys whose alert was sent, and whose condition has not been false since. An alert is sent again after that.';
select pg_catalog.pg_extension_config_dump('cdc.alerts_firing', '');

create table cdc.rule_failures (
    kind text not null check (kind in ('alert', 'route')),
    rule text not null,
    failures bigint not null default 1,
    last_error text not null,
    last_failed_at timestamptz not null default now(),
    primary key (kind, rule)
) with (fillfactor = 50);
comment on table cdc.rule_failures is
    'Rows for which the SQL of a rule failed. They are written all the same, and nobody is told of them.';

-- Outbox -------------------------------------------------------------------------------------------------------------

create table cdc.outbox (
    id bigint generated always as identity primary key,
    endpoint text not null,
    key text,
    event_id uuid not null default gen_random_uuid(),
    kind text not null check (kind in ('alert', 'route')),
    rule text not null,
    body jsonb not null,
    bytes integer not null,
    attempts integer not null default 0,
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    leased_until timestamptz,
    last_status integer,
    last_error text
) with (
    -- A lease or another due time is a HOT update: none of its columns is indexed, and the page has room for it.
    fillfactor = 70,
    -- Rows come and go, so the table is small beside what has passed through it.
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0
);
create index outbox_of_endpoint on cdc.outbox (endpoint, id);
create index outbox_of_key on cdc.outbox (endpoint, key, id) where key is not null;
comment on table cdc.outbox is 'Documents on their way to endpoints. A row goes when it is delivered or dead.';
comment on column cdc.outbox.key is 'Rows of one key and endpoint are delivered in the order of their ids; null: in any order.';
comment on column cdc.outbox.event_id is 'Sent as Idempotency-Key, the same with each attempt.';
comment on column cdc.outbox.rule is 'The alert or route that made it.';
comment on column cdc.outbox.bytes is 'Length of the document.';
comment on column cdc.outbox.leased_until is 'The push worker has it in hand until it says what became of it, or until then.';

create table cdc.outbox_overflow (
    endpoint text not null,
    discarded bigint not null,
    at timestamptz not null default now()
);
comment on table cdc.outbox_overflow is
    'Documents that were discarded because of pg_cdc_ods.outbox_limit; the push worker adds them to its counters.';

create table cdc.endpoint_counters (
    endpoint text primary key references cdc.endpoints on update cascade on delete cascade,
    breaker text not null default 'closed',
    failures_in_a_row bigint not null default 0,
    refuses_until timestamptz,
    delivered bigint not null default 0,
    retried bigint not null default 0,
    dead bigint not null default 0,
    discarded bigint not null default 0,
    last_status integer,
    last_error text,
    last_error_at timestamptz,
    last_delivered_at timestamptz
) with (fillfactor = 10);
comment on table cdc.endpoint_counters is 'Counters of each endpoint, written by the push worker; see cdc.stat_endpoints.';

create view cdc.stat_endpoints as
    select e.name,
           coalesce(c.breaker, 'closed') as breaker,
           coalesce(c.failures_in_a_row, 0) as failures_in_a_row,
           c.refuses_until,
           coalesce(o.waiting, 0) as waiting,
           coalesce(o.in_flight, 0) as in_flight,
           coalesce(clock_timestamp() - o.oldest, interval '0') as lag,
           coalesce(c.delivered, 0) as delivered,
           coalesce(c.retried, 0) as retried,
           coalesce(c.dead, 0) as dead,
           coalesce(c.discarded, 0) + coalesce(f.discarded, 0) as discarded,
           c.last_status, c.last_error, c.last_error_at, c.last_delivered_at
    from cdc.endpoints e
    left join cdc.endpoint_counters c on c.endpoint = e.name
    left join (select endpoint, count(*) filter (where leased_until is null) as waiting,
                      count(leased_until) as in_flight, min(created_at) as oldest
                 from cdc.outbox group by endpoint) o on o.endpoint = e.name
    left join (select endpoint, sum(discarded)::bigint as discarded from cdc.outbox_overflow group by endpoint) f
           on f.endpoint = e.name;
comment on view cdc.stat_endpoints is 'A row for each endpoint: its circuit breaker, what waits, and what became of deliveries.';
comment on column cdc.stat_endpoints.breaker is 'closed: it is sent to; open: not until refuses_until; half-open: one request probes it.';
comment on column cdc.stat_endpoints.in_flight is 'Deliveries that the push worker has in hand.';
comment on column cdc.stat_endpoints.lag is 'Age of the oldest delivery that is not over.';
comment on column cdc.stat_endpoints.retried is 'Attempts that failed and were followed by another.';
comment on column cdc.stat_endpoints.dead is 'Deliveries that were refused or used up their attempts; see cdc.dlq.';
comment on column cdc.stat_endpoints.discarded is 'Documents that never went into the outbox, or were taken out, because of pg_cdc_ods.outbox_limit.';

-- Views to be alerted on; see cdc.system_alerts() -----------------------------------------------------------------------

create view cdc.dlq_growth as
    select error_type, count(*) as letters, max(first_failure_at) as newest
    from cdc.dlq where first_failure_at > now() - interval '5 minutes' group by error_type;
comment on view cdc.dlq_growth is 'Dead letters of the last five minutes, by type.';

create view cdc.backlog as
    select 'stream' as kind, stream as name, pending as waiting, lag from cdc.stat_streams
    union all
    select 'endpoint', name, waiting + in_flight, lag from cdc.stat_endpoints;
comment on view cdc.backlog is 'What waits: messages of each stream to be applied, documents of each endpoint to be delivered.';

-- Rights -------------------------------------------------------------------------------------------------------------

revoke all on cdc.endpoints, cdc.endpoint_secrets, cdc.alerts, cdc.routes, cdc.alerts_firing, cdc.rule_failures,
    cdc.outbox, cdc.outbox_overflow, cdc.endpoint_counters, cdc.stat_endpoints, cdc.dlq_growth, cdc.backlog,
    cdc.routed_messages from public;
grant select on cdc.endpoints, cdc.alerts, cdc.routes, cdc.alerts_firing, cdc.rule_failures, cdc.outbox,
    cdc.outbox_overflow, cdc.endpoint_counters, cdc.stat_endpoints, cdc.dlq_growth, cdc.backlog,
    cdc.routed_messages to cdc_admin, cdc_reader;
grant select on cdc.endpoint_secrets to cdc_admin;
grant insert, update, delete on cdc.endpoints, cdc.endpoint_secrets, cdc.alerts, cdc.routes to cdc_admin;
grant delete on cdc.outbox, cdc.alerts_firing to cdc_admin;
