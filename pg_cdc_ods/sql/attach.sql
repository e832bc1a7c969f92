-- cdc.attach() for a target that is given as a table, not as a name.

create function cdc.attach(
    source text, target regclass, key text[] default null, on_unknown text default 'overflow',
    on_delete text default 'delete', columns jsonb default null, dropped text[] default null
) returns integer language sql as $$
    select cdc.attach(source, pg_catalog.format('%I.%I', n.nspname, c.relname), key, on_unknown, on_delete, columns, dropped)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = target
$$;
