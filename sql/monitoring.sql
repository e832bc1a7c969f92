-- What to look at when something is late or missing. Changes nothing; the role cdc_reader is enough.
--
--     psql -X -d ods -f sql/monitoring.sql
--
-- docs/operations.md says what to do about what it shows.

\pset null '-'

\echo '* Workers: one launcher, one apply worker, one push worker if there are endpoints. No rows: pg_cdc_ods is not in shared_preload_libraries.'
select kind, pid, database, state, clock_timestamp() - last_batch_at as since_last_batch, batches, events, restarts,
       last_error
  from cdc.stat_workers
 order by kind desc, database;

\echo '* Paused by cdc.pause()?'
select paused from cdc.inbox_progress;

\echo '* Streams, the latest first: what waits, and for how long.'
select stream, staged, applied, pending, dead_lettered, lag, last_received_at, last_applied_at
  from cdc.stat_streams
 order by lag desc, stream;

\echo '* Latency: milliseconds from the sending of a message to the commit of its effects, since the server started.'
select events, p50_ms, p90_ms, p99_ms, max_ms from cdc.stat_latency;

\echo '* The oldest message that is not applied.'
select stream, seq, topic, received_at, clock_timestamp() - received_at as age, octet_length(payload) as bytes,
       redelivered
  from cdc.inbox_unapplied
 order by received_at, seq
 limit 1;

\echo '* ODS tables: rows (estimated), what waits for them, size.'
select kind, name, rows, pending, lag, pg_size_pretty(bytes) as size
  from cdc.state
 order by pending desc, name;

\echo '* Dead letters by type.'
select error_type, status, messages, first_failure_at, last_failure_at
  from cdc.dlq_summary
 order by last_failure_at desc;

\echo '* The newest dead letters that are not settled; one with retry_at is tried again by itself.'
select id, original_topic, error_type, error_message, error_detail, last_failure_at, retry_count, retry_at
  from cdc.dlq
 where status in ('pending', 'retrying')
 order by id desc
 limit 10;

\echo '* Endpoints, those in trouble first: what waits, and what became of deliveries.'
select name, breaker, waiting, in_flight, lag, delivered, retried, dead, discarded, last_status, last_error, last_error_at
  from cdc.stat_endpoints
 order by failures_in_a_row desc, lag desc, name;

\echo '* Rules whose SQL failed, and keys for which alerts are firing.'
select kind, rule, failures, last_error, last_failed_at from cdc.rule_failures order by last_failed_at desc;
select alert, count(*) as keys, max(since) as newest from cdc.alerts_firing group by alert order by newest desc;

\echo '* Partitions of the inbox: the current one takes messages; the others should be empty or on their way there.'
select p.slot, p.slot = r.current_slot as current,
       pg_size_pretty(pg_total_relation_size(format('cdc.inbox_%s', p.slot)::regclass)) as size,
       (select count(*) from cdc.inbox_unapplied u where u.slot = p.slot) as unapplied
  from cdc.inbox_rotation r
 cross join generate_series(0, 2) as p(slot)
 order by p.slot;

\echo '* Sizes and dead rows of the ODS tables, and of what the extension keeps.'
select s.relid::regclass as name, pg_size_pretty(pg_total_relation_size(s.relid)) as size, s.n_live_tup as live_rows,
       s.n_dead_tup as dead_rows, greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
       greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
  from pg_catalog.pg_stat_user_tables s
 where (s.schemaname, s.relname) in (select target_schema, target_table from cdc.attachments)
    or s.schemaname = 'cdc' and s.relname in ('dlq', 'outbox', 'tombstones')
 order by pg_total_relation_size(s.relid) desc;

\echo '* Bridges that are connected. State and time need pg_monitor, too.'
select pid, usename, application_name, state, backend_start
  from pg_catalog.pg_stat_activity
 where datname = current_database() and application_name like 'cdc-bridge %'
 order by application_name;

\echo '* Who holds a lock on the inbox: as long as it is held, that partition is not truncated.'
select l.pid, l.relation::regclass as partition, l.mode, a.application_name, a.state,
       clock_timestamp() - a.xact_start as open_for
  from pg_catalog.pg_locks l
  join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.relation in ('cdc.inbox_0'::regclass, 'cdc.inbox_1'::regclass, 'cdc.inbox_2'::regclass)
   and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
   and l.pid <> pg_backend_pid()
 order by a.xact_start;
