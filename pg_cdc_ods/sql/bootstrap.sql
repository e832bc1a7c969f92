-- The objects of schema cdc: staging, configuration, progress, dead letters.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['cdc_admin', 'cdc_writer', 'cdc_reader'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            execute pg_catalog.format('create role %I nologin', role_name);
        end if;
    end loop;
end
$$;

-- Staging ------------------------------------------------------------------------------------------------------------

create sequence cdc.inbox_seq cache 64;

create table cdc.inbox_rotation (
    only_row boolean primary key default true check (only_row),
    current_slot smallint not null check (current_slot between 0 and 2)
);
insert into cdc.inbox_rotation (current_slot) values (0);
comment on table cdc.inbox_rotation is 'Which partition of cdc.inbox takes new messages.';

create function cdc.inbox_slot() returns smallint
    stable parallel unsafe language c as 'MODULE_PATHNAME', 'inbox_slot_wrapper';
comment on function cdc.inbox_slot() is 'The partition of cdc.inbox that takes the messages of this transaction.';

create table cdc.inbox (
    stream text not null default 'manual',
    seq bigint not null default nextval('cdc.inbox_seq'),
    topic text not null,
    payload bytea,
    message_id text,
    redelivered boolean not null default false,
    sent_at timestamptz,
    received_at timestamptz not null default now(),
    headers jsonb,
    slot smallint not null default cdc.inbox_slot(),
    xact_id xid8 not null default pg_current_xact_id()
) partition by list (slot);
create table cdc.inbox_0 partition of cdc.inbox for values in (0);
create table cdc.inbox_1 partition of cdc.inbox for values in (1);
create table cdc.inbox_2 partition of cdc.inbox for values in (2);
create index inbox_by_transaction on cdc.inbox (xact_id, seq);
alter table cdc.inbox_0 alter column payload set storage external;
alter table cdc.inbox_1 alter column payload set storage external;
alter table cdc.inbox_2 alter column payload set storage external;
alter table cdc.inbox_0 set (autovacuum_enabled = false);
alter table cdc.inbox_1 set (autovacuum_enabled = false);
alter table cdc.inbox_2 set (autovacuum_enabled = false);
comment on table cdc.inbox is
    'Messages as they came, waiting to be applied. Anything that can COPY may write to it. Emptied by truncation.';
comment on column cdc.inbox.seq is 'Order of arrival within a stream.';
comment on column cdc.inbox.headers is 'User properties of the message; null when there were none.';
comment on column cdc.inbox.xact_id is 'The transaction that wrote the message; tells what has been applied. Not to be set.';

create table cdc.inbox_progress (
    only_row boolean primary key default true check (only_row),
    done pg_snapshot not null,
    tick pg_snapshot,
    cursor_xact xid8,
    cursor_seq bigint,
    own_xact xid8,
    own_seq bigint,
    paused boolean not null default false
) with (fillfactor = 10);
insert into cdc.inbox_progress (done) values ('1:1:');
comment on table cdc.inbox_progress is
    'What has been applied: all messages of transactions visible in "done", and those of "tick" up to the cursor.';

-- Configuration ------------------------------------------------------------------------------------------------------

create table cdc.attachments (
    attachment_id integer generated always as identity primary key,
    source_schema text not null,
    source_table text not null,
    target_schema text not null,
    target_table text not null,
    key text[] not null check (cardinality(key) > 0 or creates_target),
    on_unknown text not null check (on_unknown in ('overflow', 'alter', 'reject')),
    on_delete text not null check (on_delete in ('delete', 'soft', 'ignore')),
    columns jsonb not null check (jsonb_typeof(columns) = 'object'),
    dropped text[] not null,
    owner regrole not null,
    creates_target boolean not null default false,
    truncated_at bytea,
    unique (source_schema, source_table)
);
comment on table cdc.attachments is 'Which source table feeds which target table; made by cdc.attach().';
comment on column cdc.attachments.owner is 'The role that attached the source: rows are written with its rights.';
comment on column cdc.attachments.creates_target is 'The target did not exist yet: the first events create it.';
comment on column cdc.attachments.truncated_at is 'The position of the newest truncate: older events come too late.';
select pg_catalog.pg_extension_config_dump('cdc.attachments', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.attachments', 'attachment_id'), '');

create table cdc.xml_extractions (
    extraction_id integer generated always as identity primary key,
    attachment_id integer not null references cdc.attachments on delete cascade,
    xml_column text not null,
    tables text[] not null,
    mapping jsonb not null,
    owner regrole not null,
    unique (attachment_id, xml_column)
);
comment on table cdc.xml_extractions is 'Which XML column of a source feeds which child tables; made by cdc.extract_xml().';
comment on column cdc.xml_extractions.tables is 'The child tables, quoted: the target, then those of nested rows.';
comment on column cdc.xml_extractions.owner is 'The role that configured it: child rows are written with its rights.';
select pg_catalog.pg_extension_config_dump('cdc.xml_extractions', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.xml_extractions', 'extraction_id'), '');

create function cdc.check_configuration_owner() returns trigger language plpgsql as $$
begin
    if not pg_has_role(current_user, new.owner::oid, 'member') then
        raise insufficient_privilege using
            message = format('role %s may not configure %s in the name of %s', quote_ident(current_user), tg_table_name, new.owner),
            hint = 'Become a member of that role, or configure in your own name.';
    end if;
    return new;
end
$$;
comment on function cdc.check_configuration_owner() is
    'Rows are written and configured SQL runs with the owner''s rights: only its members may set it.';
create trigger check_configuration_owner before insert or update on cdc.attachments
    for each row execute function cdc.check_configuration_owner();
create trigger check_configuration_owner before insert or update on cdc.xml_extractions
    for each row execute function cdc.check_configuration_owner();

-- Progress -----------------------------------------------------------------------------------------------------------

-- Written for very many rows at once: a foreign key would look at each of them. forget_rows() does what it would do.
create table cdc.tombstones (
    attachment_id integer not null,
    key bytea not null,
    source_pos bytea not null,
    first_source_ts timestamptz,
    deleted_at timestamptz not null default now(),
    primary key (attachment_id, key)
);
create index tombstones_newest on cdc.tombstones (attachment_id, source_pos);
comment on table cdc.tombstones is 'Deleted keys, so that a late older event cannot bring a row back.';
comment on column cdc.tombstones.first_source_ts is
    'The earliest source_ts of the key''s events, if the target has a column first_source_ts.';
select pg_catalog.pg_extension_config_dump('cdc.tombstones', '');

create table cdc.column_positions (
    attachment_id integer not null,
    key bytea not null,
    positions json not null,
    primary key (attachment_id, key)
);
comment on table cdc.column_positions is
    'Rows with columns older than the row, because a newer change did not send them: a late older change may fill those.';
select pg_catalog.pg_extension_config_dump('cdc.column_positions', '');

create function cdc.forget_rows() returns trigger language plpgsql security definer as $$
begin
    delete from cdc.tombstones t where t.attachment_id = old.attachment_id;
    delete from cdc.column_positions p where p.attachment_id = old.attachment_id;
    return null;
end
$$;
comment on function cdc.forget_rows() is 'Forgets what is remembered of the rows of a source that is no longer attached.';
create trigger forget_rows after delete on cdc.attachments for each row execute function cdc.forget_rows();

create table cdc.source_columns (
    attachment_id integer not null references cdc.attachments on delete cascade,
    column_name text not null,
    kinds text[] not null,
    primary key (attachment_id, column_name)
);
comment on table cdc.source_columns is
    'The columns that the events of a source have had, with the JSON kinds of their values; see cdc.schema_history.';
select pg_catalog.pg_extension_config_dump('cdc.source_columns', '');

create table cdc.schema_history (
    id bigint generated always as identity primary key,
    source text not null,
    column_name text not null,
    change text not null check (change in ('new', 'missing', 'retyped')),
    old_type text,
    new_type text,
    first_seen_at timestamptz not null default clock_timestamp(),
    topic text not null,
    stream text not null,
    seq bigint not null
);
create unique index schema_history_once on cdc.schema_history (source, column_name, change, coalesce(new_type, ''));
comment on table cdc.schema_history is
    'Columns of sources that were new, missing, or of another kind, once each, with the first event that showed it.';
comment on column cdc.schema_history.old_type is 'The JSON kinds of the values before.';
comment on column cdc.schema_history.new_type is 'The JSON kind of the value that is new.';
comment on column cdc.schema_history.seq is 'The event''s place in its stream, as in cdc.inbox and cdc.dlq.';
select pg_catalog.pg_extension_config_dump('cdc.schema_history', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.schema_history', 'id'), '');

create table cdc.stream_progress (
    stream text primary key,
    events bigint not null default 0,
    dead_lettered bigint not null default 0,
    controls bigint not null default 0,
    last_seq bigint not null,
    last_received_at timestamptz,
    last_applied_at timestamptz
) with (fillfactor = 50);
comment on table cdc.stream_progress is 'Counters of each stream; see cdc.stat_streams.';

create table cdc.dlq (
    id bigint generated always as identity primary key,
    original_topic text not null,
    stream text not null,
    seq bigint not null,
    source_pos bytea,
    error_type text not null,
    error_message text not null,
    error_detail text,
    payload bytea,
    payload_json jsonb,
    headers jsonb,
    message_id text,
    retry_count integer not null default 0,
    first_failure_at timestamptz not null default now(),
    last_failure_at timestamptz not null default now(),
    status text not null default 'pending' check (status in ('pending', 'retrying', 'resolved', 'discarded')),
    retry_at timestamptz check ((retry_at is not null) = (status = 'retrying')),
    settled_at timestamptz check ((settled_at is not null) = (status in ('resolved', 'discarded'))),
    delivery jsonb
);
create index dlq_status on cdc.dlq (status, id);
create index dlq_retry on cdc.dlq (retry_at) where status = 'retrying';
comment on table cdc.dlq is 'Dead letters: messages that could not be applied, byte for byte, with the reason.';
comment on column cdc.dlq.error_detail is 'The path inside the event, e.g. payload.after.TOTAL_AMOUNT.';
comment on column cdc.dlq.retry_count is 'How often it was tried again, by itself or by cdc.dlq_replay().';
comment on column cdc.dlq.status is
    'pending: waits for somebody; retrying: is tried again by itself at retry_at; resolved: applied; discarded: given up.';
comment on column cdc.dlq.delivery is
    'Of a document that an endpoint did not take: endpoint, event_id, key, kind, rule, status, answer, attempts. Null for messages.';
comment on column cdc.dlq.settled_at is 'When it was resolved or discarded; kept for pg_cdc_ods.dlq_retention from then.';
select pg_catalog.pg_extension_config_dump('cdc.dlq', '');
select pg_catalog.pg_extension_config_dump(pg_get_serial_sequence('cdc.dlq', 'id'), '');

create view cdc.dlq_summary as
    select error_type, status, count(*) as messages, min(first_failure_at) as first_failure_at,
           max(last_failure_at) as last_failure_at
    from cdc.dlq group by error_type, status;
comment on view cdc.dlq_summary is 'Dead letters by type and status.';

create view cdc.inbox_unapplied as
    select i.*
    from cdc.inbox_progress p
    cross join lateral (
        select w.* from cdc.inbox w where w.xact_id >= pg_snapshot_xmax(p.done)
        union all
        select w.* from cdc.inbox w where w.xact_id = any (array(select pg_snapshot_xip(p.done)))
    ) i
    where (p.tick is null or not pg_visible_in_snapshot(i.xact_id, p.tick)
           or (i.xact_id, i.seq) > (p.cursor_xact, p.cursor_seq))
      and (p.own_xact is null or i.xact_id <> p.own_xact or i.seq > p.own_seq);
comment on view cdc.inbox_unapplied is 'The messages that have arrived and are not yet applied.';

create view cdc.stat_streams as
    with pending as (
        select stream, count(*) as pending, max(seq) as last_seq, min(received_at) as oldest, max(received_at) as newest
        from cdc.inbox_unapplied group by stream
    )
    select coalesce(p.stream, w.stream) as stream,
           coalesce(p.events, 0) + coalesce(w.pending, 0) as staged,
           coalesce(p.events, 0) as applied,
           coalesce(p.dead_lettered, 0) as dead_lettered,
           coalesce(p.controls, 0) as controls,
           coalesce(w.pending, 0) as pending,
           greatest(p.last_seq, w.last_seq) as last_seq,
           greatest(p.last_received_at, w.newest) as last_received_at,
           p.last_applied_at,
           case when w.oldest is null then interval '0' else clock_timestamp() - w.oldest end as lag
    from cdc.stream_progress p full join pending w on w.stream = p.stream;
comment on view cdc.stat_streams is
    'A row for each stream: messages staged, applied (dead letters and controls among them), pending, and the lag.';
comment on column cdc.stat_streams.controls is
    'Messages that change nothing by their nature: tombstones, heartbeats, transaction metadata, schema changes.';

create view cdc.state as
    with pending as (
        select reverse(split_part(reverse(topic), '/', 2)) as source_table, count(*) as pending,
               min(received_at) as oldest
        from cdc.inbox_unapplied group by 1
    )
    select 'ods' as kind,
           format('%I.%I', a.target_schema, a.target_table) as name,
           case when c.reltuples < 0 then s.n_live_tup else greatest(c.reltuples::bigint, s.n_live_tup) end as rows,
           coalesce(p.pending, 0) as pending,
           coalesce(clock_timestamp() - p.oldest, interval '0') as lag,
           pg_total_relation_size(c.oid) as bytes
    from cdc.attachments a
    join pg_catalog.pg_namespace n on n.nspname = a.target_schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = a.target_table
    left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
    left join pending p on p.source_table = a.source_table;
comment on view cdc.state is
    'A row for each ODS table: rows (an estimate of the statistics collector), pending messages, lag, bytes.';

-- Rights -------------------------------------------------------------------------------------------------------------

revoke all on all tables in schema cdc from public;
grant usage on schema cdc to cdc_admin, cdc_writer, cdc_reader;
grant insert on cdc.inbox to cdc_writer, cdc_admin;
grant insert, update, delete on cdc.attachments, cdc.xml_extractions to cdc_admin;
grant usage on sequence cdc.inbox_seq to cdc_writer, cdc_admin;
grant select on cdc.inbox_rotation to cdc_writer, cdc_admin;
grant select on all tables in schema cdc to cdc_admin, cdc_reader;
