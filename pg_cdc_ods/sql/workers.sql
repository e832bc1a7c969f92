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
    'The launcher and the apply worker of each database. Empty when the library is not in shared_preload_libraries.';
comment on column cdc.stat_workers.state is 'requested, starting, idle, applying, or backing off until its restart.';
comment on column cdc.stat_workers.batches is 'Batches with events since the slot exists.';
comment on column cdc.stat_workers.events is 'Events applied since the slot exists.';
comment on column cdc.stat_workers.restarts is 'How often the worker was started again after it ended.';
comment on column cdc.stat_workers.last_error is 'Beginning of the last error that ended the worker.';

select cdc.start_apply_worker();
