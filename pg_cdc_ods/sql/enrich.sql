-- Enriched tables and window aggregates: configuration, what is dirty, and what can be seen of it.

create table cdc.enrichments (
    enrichment_id integer generated always as identity primary key,
    name text not null unique,
    target_schema text not null,
    target_table text not null,
    key text not null,
    key_type text not null,
    columns text[] not null,
    query text not null,
    dependencies jsonb not null check (jsonb_typeof(dependencies) = 'array'),
    stamped boolean not null,
    owner regrole not null
);
comment on table cdc.enrichments is 'The enriched tables; made by cdc.enrich().';
comment on column cdc.enrichments.query is 'The query with the full names of what it reads.';
comment on column cdc.enrichments.owner is 'The role that configured it: the query runs with its rights.';
select pg_catalog.pg_extension_config_dump('cdc.enrichments', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.enrichments', 'enrichment_id'), '');

create table cdc.enrich_queue (
    id bigint generated always as identity primary key,
    enrichment_id integer not null references cdc.enrichments on delete cascade,
    key text not null,
    error text,
    queued_at timestamptz not null default clock_timestamp()
);
create index enrich_queue_waiting on cdc.enrich_queue (id) where error is null;
create index enrich_queue_failed on cdc.enrich_queue (enrichment_id, key) where error is not null;
comment on table cdc.enrich_queue is
    'Keys of enriched rows that are to be made anew: changed by other sessions than the apply worker, or failed.';
comment on column cdc.enrich_queue.error is 'Why it failed; cdc.maintain() lets it be tried again.';
select pg_catalog.pg_extension_config_dump('cdc.enrich_queue', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.enrich_queue', 'id'), '');

create table cdc.enrich_backlog (
    id bigint generated always as identity primary key,
    enrichment_id integer not null references cdc.enrichments on delete cascade,
    dependency smallint,
    changed jsonb,
    last_key text,
    error text,
    queued_at timestamptz not null default clock_timestamp(),
    check ((dependency is null) = (changed is null))
);
comment on table cdc.enrich_backlog is
    'Changes that make many enriched rows dirty, worked off in steps of pg_cdc_ods.enrich_step keys.';
comment on column cdc.enrich_backlog.dependency is 'The place of the changed table among the dependencies, from 0; null: every row.';
comment on column cdc.enrich_backlog.last_key is 'Up to where it is done, in order of the keys.';
select pg_catalog.pg_extension_config_dump('cdc.enrich_backlog', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.enrich_backlog', 'id'), '');

create table cdc.aggregates (
    aggregate_id integer generated always as identity primary key,
    name text not null unique,
    source_schema text not null,
    source_table text not null,
    target_schema text not null,
    target_table text not null,
    contributions text not null,
    used_columns text[],
    groups text[] not null,
    counter text not null,
    measures text[] not null,
    window_size interval not null,
    watermark_delay interval not null,
    time_type text not null,
    owner regrole not null
);
comment on table cdc.aggregates is 'The window aggregates; made by cdc.aggregate().';
comment on column cdc.aggregates.used_columns is
    'The columns that the contributions are made of: a row in which none of them changes changes no window; null: all.';
select pg_catalog.pg_extension_config_dump('cdc.aggregates', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.aggregates', 'aggregate_id'), '');

create table cdc.aggregate_progress (
    aggregate_id integer primary key references cdc.aggregates on delete cascade,
    late bigint not null default 0
) with (fillfactor = 10);
comment on table cdc.aggregate_progress is 'Contributions that came after their window was closed; see cdc.stat_aggregates.';
select pg_catalog.pg_extension_config_dump('cdc.aggregate_progress', '');

create table cdc.event_clock (
    only_row boolean primary key default true check (only_row),
    newest timestamptz
) with (fillfactor = 10);
insert into cdc.event_clock default values;
comment on table cdc.event_clock is 'The newest source_ts of all events applied: windows are closed by it.';

create trigger check_configuration_owner before insert or update on cdc.enrichments
    for each row execute function cdc.check_configuration_owner();
create trigger check_configuration_owner before insert or update on cdc.aggregates
    for each row execute function cdc.check_configuration_owner();

create view cdc.pending as
    select enrichment, reason, part, rows, since, detail from cdc.pending_rows();
comment on view cdc.pending is
    'Enriched rows that wait: for a part that has not come (missing), or to be made anew (queued, fan-out, failed).';

create view cdc.stat_aggregates as
    select a.name,
           c.newest - a.watermark_delay as watermark,
           coalesce(p.late, 0) as late
    from cdc.aggregates a cross join cdc.event_clock c left join cdc.aggregate_progress p using (aggregate_id);
comment on view cdc.stat_aggregates is 'Each window aggregate: its watermark, and how many contributions came late.';

revoke all on cdc.enrichments, cdc.enrich_queue, cdc.enrich_backlog, cdc.aggregates, cdc.aggregate_progress,
    cdc.event_clock, cdc.pending, cdc.stat_aggregates from public;
grant select on cdc.enrichments, cdc.enrich_queue, cdc.enrich_backlog, cdc.aggregates, cdc.aggregate_progress,
    cdc.event_clock, cdc.pending, cdc.stat_aggregates to cdc_admin, cdc_reader;
grant insert, update, delete on cdc.enrichments, cdc.aggregates to cdc_admin;
