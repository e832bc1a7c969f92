-- Functions are nobody's by default: what is granted is granted here, and search paths are pinned.

do $$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'cdc'::regnamespace and p.prokind = 'f'
    loop
        execute pg_catalog.format('revoke all on function %s from public', routine);
        execute pg_catalog.format('alter function %s set search_path = pg_catalog, pg_temp', routine);
    end loop;
end
$$;
-- Evaluated for every message: a pinned search path would cost a change of settings each time, and it needs none.
alter function cdc.inbox_slot() reset search_path;
alter function cdc.wake_apply_worker() reset search_path;
alter function cdc.hold_back_messages() reset search_path;

grant execute on function cdc.inbox_slot() to cdc_writer, cdc_admin;
grant execute on function cdc.ingest(text, text, jsonb) to cdc_writer, cdc_admin;
grant execute on function cdc.apply(integer), cdc.flush(interval), cdc.pause(), cdc.resume() to cdc_admin;
grant execute on function cdc.install_preset(text, text) to cdc_admin;
grant execute on function cdc.attach(text, text, text[], text, text, jsonb, text[]) to cdc_admin;
grant execute on function cdc.attach(text, regclass, text[], text, text, jsonb, text[]) to cdc_admin;
grant execute on function cdc.extract_xml(text, text, text, text, jsonb, text, text), cdc.drop_xml(text, text) to cdc_admin;
grant execute on function cdc.detach(text) to cdc_admin;
grant execute on function cdc.promote_column(regclass, text, text, text), cdc.coerce(jsonb, text), cdc.lock_apply()
    to cdc_admin;
grant update on cdc.column_positions to cdc_admin;
grant execute on function cdc.explain_event(text, text, jsonb) to cdc_admin;
grant execute on function cdc.dlq_matching(text), cdc.dlq_replay(text), cdc.dlq_replay(bigint[]),
    cdc.dlq_discard(text), cdc.dlq_discard(bigint[]), cdc.maintain() to cdc_admin;
grant execute on function cdc.stat_workers() to cdc_admin, cdc_reader;
grant execute on function cdc.apply_latency() to cdc_admin, cdc_reader;
grant select on cdc.stat_workers, cdc.stat_latency to cdc_admin, cdc_reader;

alter function cdc.apply(integer) security definer;
alter function cdc.flush(interval) security definer;
alter function cdc.pause() security definer;
alter function cdc.resume() security definer;
alter function cdc.dlq_replay(bigint[]) security definer;
alter function cdc.dlq_discard(bigint[]) security definer;
alter function cdc.maintain() security definer;
alter function cdc.lock_apply() security definer;

comment on function cdc.ingest(text, text, jsonb) is 'Puts one message into the inbox by hand; returns its seq.';
comment on function cdc.apply(integer) is 'Applies waiting messages now, in this session and transaction.';
comment on function cdc.flush(interval) is 'Waits until all messages that had arrived are applied.';
comment on function cdc.pause() is 'Stops applying; messages go on arriving.';
comment on function cdc.resume() is 'Goes on applying after cdc.pause().';
comment on function cdc.dlq_matching(text) is 'The unsettled dead letters that meet a condition on cdc.dlq.';
comment on function cdc.dlq_replay(text) is
    'Applies the unsettled dead letters that meet a condition on cdc.dlq once more; without one, all of them.';
comment on function cdc.dlq_replay(bigint[]) is 'Applies these dead letters once more, discarded ones too.';
comment on function cdc.dlq_discard(text) is 'Gives up the unsettled dead letters that meet a condition on cdc.dlq.';
comment on function cdc.dlq_discard(bigint[]) is 'Gives up these dead letters; returns how many.';
comment on function cdc.promote_column(regclass, text, text, text) is
    'Makes a field of extra_fields a column, moves the values there are, and lets later events fill it; returns rows moved.';
comment on function cdc.coerce(jsonb, text) is 'A JSON value as text of a type, by the rules for values in events.';
comment on function cdc.lock_apply() is 'Keeps everybody else from applying until the transaction ends.';
comment on function cdc.explain_event(text, text, jsonb) is
    'What an event would do: source, key, position, each column and where it would go, or the error. Changes nothing.';
comment on function cdc.maintain() is
    'Tries dead letters again whose time has come, and clears away what is older than the retention settings.';
comment on function cdc.attach(text, text, text[], text, text, jsonb, text[]) is
    'A source table feeds a target table; replaces an earlier attachment of the same source.';
comment on function cdc.attach(text, regclass, text[], text, text, jsonb, text[]) is
    'The same for a target given as a table.';
comment on function cdc.extract_xml(text, text, text, text, jsonb, text, text) is
    'Rows of an XML column of a source go to a child table; replaces an earlier extraction of the same column.';
comment on function cdc.drop_xml(text, text) is 'Ends an extraction; the child table stays.';
comment on function cdc.detach(text) is 'Ends an attachment; the target table stays.';
comment on function cdc.install_preset(text, text) is 'Creates the tables and attachments of a preset in a schema.';

-- Statements here are short and come in many shapes: compiling them costs more time than it saves.
alter function cdc.apply(integer) set jit = off;
alter function cdc.flush(interval) set jit = off;
alter function cdc.dlq_replay(bigint[]) set jit = off;
alter function cdc.maintain() set jit = off;

grant execute on function cdc.enrich(text, text, text, text, jsonb, text), cdc.drop_enrichment(text), cdc.refresh(text),
    cdc.aggregate(text, text, text, text, text[], text, interval, interval, text), cdc.drop_aggregate(text),
    cdc.verify(text, bigint), cdc.enrich_changed(), cdc.aggregate_changed() to cdc_admin;
grant execute on function cdc.verify(text, bigint), cdc.pending_rows() to cdc_admin, cdc_reader;

alter function cdc.refresh(text) security definer;
alter function cdc.enrich_changed() security definer;
alter function cdc.aggregate_changed() security definer;
alter function cdc.pending_rows() security definer;

comment on function cdc.enrich(text, text, text, text, jsonb, text) is
    'A table is kept equal to a query: its rows are made anew for the keys that a change makes dirty.';
comment on function cdc.drop_enrichment(text) is 'Ends an enrichment; the table stays.';
comment on function cdc.refresh(text) is 'Has all rows of an enriched table made anew, in steps.';
comment on function cdc.aggregate(text, text, text, text, text[], text, interval, interval, text) is
    'A table is kept equal to the sums of what rows of another contribute, per tumbling window and group.';
comment on function cdc.drop_aggregate(text) is 'Ends an aggregate; the table stays.';
comment on function cdc.verify(text, bigint) is
    'The differences of an enriched table or an aggregate from what it would be if it were made from scratch.';
comment on function cdc.pending_rows() is 'The rows of cdc.pending.';
comment on function cdc.enrich_changed() is 'Trigger of the tables that enriched tables read.';
comment on function cdc.aggregate_changed() is 'Trigger of the tables that are aggregated.';

-- Outbox -------------------------------------------------------------------------------------------------------------

grant execute on function cdc.endpoint(text, text, interval, interval, integer, interval, interval, integer, interval,
        integer, integer, integer, text, integer, jsonb, jsonb, text),
    cdc.drop_endpoint(text),
    cdc.alert(text, text, text, text, text, text, text, text[], text), cdc.drop_alert(text),
    cdc.route(text, text, text, text, text, text, text, text[], text[], text), cdc.drop_route(text),
    cdc.system_alerts(text, integer, interval, bigint),
    cdc.install_preset_alerts(text, text, text, numeric, text),
    cdc.rules_changed() to cdc_admin;

alter function cdc.rules_changed() security definer;

comment on function cdc.endpoint(text, text, interval, interval, integer, interval, interval, integer, interval, integer,
        integer, integer, text, integer, jsonb, jsonb, text) is
    'A place that documents are sent to; replaces an endpoint of the same name, and keeps auth and headers that are not given.';
comment on function cdc.drop_endpoint(text) is
    'Removes an endpoint that no rule uses, and what waits for it; returns how many documents that were.';
comment on function cdc.alert(text, text, text, text, text, text, text, text[], text) is
    'Tells an endpoint once of each row that comes to meet a condition; replaces an alert of the same name.';
comment on function cdc.drop_alert(text) is 'Removes an alert.';
comment on function cdc.route(text, text, text, text, text, text, text, text[], text[], text) is
    'Tells an endpoint or a channel of each change that meets a condition; replaces a route of the same name.';
comment on function cdc.drop_route(text) is 'Removes a route.';
comment on function cdc.system_alerts(text, integer, interval, bigint) is
    'Alerts on what is wrong: DLQ_GROWING, SCHEMA_CHANGED, ENDPOINT_DOWN, BACKLOG.';
comment on function cdc.install_preset_alerts(text, text, text, numeric, text) is
    'The alerts of a preset (ecommerce: HIGH_VALUE_ORDER), and those of cdc.system_alerts().';
comment on function cdc.rules_changed() is 'Trigger of the tables that alerts and routes look at.';
comment on function cdc.endpoints_changed() is 'Trigger of cdc.endpoints: the push worker reads them again.';
