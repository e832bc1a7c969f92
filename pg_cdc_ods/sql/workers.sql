-- Waking and watching the background workers.

create trigger wake_apply_worker after insert on cdc.inbox
    for each statement execute function cdc.wake_apply_worker();

comment on function cdc.wake_apply_worker() is 'Trigger of cdc.inbox: wakes the apply worker when the transaction commits.';
comment on function cdc.start_apply_worker() is
    'Asks for an apply worker in this database when the transaction commits; without effect when it has one.';
comment on function cdc.stat_workers() is 'The rows of cdc.stat_workers.';

create view cdc.stat_workers as
    select pid, kind, database, state, started_at, last_batch_at, batches, events, restarts, last_error
    from cdc.stat_workers();
comment on view cdc.stat_workers is
    'The launcher and the workers of each database. Empty when the library is not in shared_preload_libraries.';
comment on column cdc.stat_workers.state is 'requested, starting, idle, applying, pushing, or backing off until its restart.';
comment on column cdc.stat_workers.batches is 'Batches with events since the slot exists; of the push worker: transactions with outcomes of deliveries.';
comment on column cdc.stat_workers.events is 'Events applied since the slot exists; of the push worker: outcomes of deliveries.';
comment on column cdc.stat_workers.restarts is 'How often the worker was started again after it ended.';
comment on column cdc.stat_workers.last_error is 'Beginning of the last error that ended the worker.';

create view cdc.stat_latency as
    with buckets as (
        select le_ms, sum(events) over (order by le_ms) as up_to, sum(events) over () as total from cdc.apply_latency()
    )
    select coalesce(max(total), 0)::bigint as events,
           min(le_ms) filter (where up_to >= 0.50 * total) as p50_ms,
           min(le_ms) filter (where up_to >= 0.90 * total) as p90_ms,
           min(le_ms) filter (where up_to >= 0.99 * total) as p99_ms,
           max(le_ms) as max_ms
    from buckets;
comment on view cdc.stat_latency is
    'Milliseconds from the sending of a message to the commit of its effects, for all messages that the apply worker of this database applied since the server started. Upper bounds, at most a fifth too high.';
comment on function cdc.apply_latency() is
    'The histogram behind cdc.stat_latency: messages that took at most le_ms, and longer than the row before.';

select cdc.start_apply_worker();
