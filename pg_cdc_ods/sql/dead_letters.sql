-- Dead letters by condition. The condition is SQL of the caller and runs with the caller's rights; only the ids that it
-- finds reach the functions that run with the extension's.

create function cdc.dlq_matching(filter text) returns bigint[] stable language plpgsql as $$
declare
    ids bigint[];
begin
    execute pg_catalog.format(
        'select coalesce(array_agg(id order by id), ''{}'') from cdc.dlq where status in (''pending'', ''retrying'') and (%s)',
        coalesce(filter, 'true')
    ) into ids;
    return ids;
exception
    when syntax_error or undefined_column or undefined_function or datatype_mismatch or invalid_text_representation then
        raise using
            errcode = 'invalid_parameter_value',
            message = pg_catalog.format('invalid value for argument "filter": %s', sqlerrm),
            hint = 'Write a condition on the columns of cdc.dlq, e.g. error_type = ''SCHEMA_MISMATCH'' and id < 100.';
end
$$;

create function cdc.dlq_replay(filter text default null, out replayed bigint, out resolved bigint, out failed bigint)
    returns record language sql as $$ select replayed, resolved, failed from cdc.dlq_replay(cdc.dlq_matching(filter)) $$;

create function cdc.dlq_discard(ids bigint[]) returns bigint language sql as $$
    with discarded as (
        update cdc.dlq set status = 'discarded', retry_at = null, settled_at = now()
         where id = any (ids) and status in ('pending', 'retrying') returning id
    )
    select count(*) from discarded
$$;

create function cdc.dlq_discard(filter text) returns bigint language sql as $$
    select cdc.dlq_discard(cdc.dlq_matching(filter))
$$;
