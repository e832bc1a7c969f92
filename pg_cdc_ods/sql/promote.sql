-- cdc.promote_column(): adds the column, moves the values, and lets later events fill it, all in one transaction.

create function cdc.promote_column(target regclass, field text, type text, column_name text default null)
    returns bigint language plpgsql as $$
declare
    attachments cdc.attachments[];
    new_column text := coalesce(promote_column.column_name, lower(field));
    type_name text;
    moved bigint;
begin
    select array_agg(a) into attachments
      from cdc.attachments a
      join pg_catalog.pg_namespace n on n.nspname = a.target_schema
      join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = a.target_table
     where c.oid = promote_column.target;
    if attachments is null then
        raise invalid_parameter_value using
            message = format('invalid value for argument "target": no source is attached to %s', target),
            hint = 'See cdc.attachments for the targets.';
    end if;
    type_name := format_type(to_regtype(type), null);
    if type_name is null or type_name = '-' then
        raise invalid_parameter_value using
            message = format('invalid value for argument "type": "%s"', type),
            hint = 'Write the name of a type, e.g. numeric(15,2).';
    end if;
    -- Nobody applies from here to the end of the transaction, or a value could arrive in between.
    perform cdc.lock_apply();
    execute format('alter table %s add column if not exists %I %s', target, new_column, type);
    execute format(
        'update %1$s t
            set %2$I = cdc.coerce(t.extra_fields -> f.name, %3$L)::%4$s,
                extra_fields = nullif(t.extra_fields - f.name, ''{}'')
           from (select distinct jsonb_object_keys(extra_fields) as name from %1$s) f
          where lower(f.name) = lower(%5$L) and t.extra_fields ? f.name',
        target, new_column, type_name, type, field);
    get diagnostics moved = row_count;
    update cdc.column_positions p
       set positions = jsonb_set(p.positions::jsonb, '{newer}', (
               select jsonb_agg(case when f.name is null then n.change else n.change || jsonb_build_object(
                          'overflow', (n.change -> 'overflow') - f.name,
                          'columns', coalesce(n.change -> 'columns', '[]') || to_jsonb(new_column)) end order by n.place)
                 from jsonb_array_elements(p.positions::jsonb -> 'newer') with ordinality as n(change, place)
                 left join lateral (
                     select o.name from jsonb_array_elements_text(n.change -> 'overflow') as o(name)
                      where lower(o.name) = lower(field) limit 1) f on true))
     where p.attachment_id in (select a.attachment_id from unnest(attachments) a)
       and exists (select from jsonb_array_elements(p.positions::jsonb -> 'newer') as n(change)
                    cross join lateral jsonb_array_elements_text(n.change -> 'overflow') as o(name)
                    where lower(o.name) = lower(field));
    if lower(new_column) <> lower(field) then
        update cdc.attachments a
           set columns = a.columns || jsonb_build_object(new_column, field)
         where a.attachment_id = any (select b.attachment_id from unnest(attachments) b);
    end if;
    return moved;
end
$$;
