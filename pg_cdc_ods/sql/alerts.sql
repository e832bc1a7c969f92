-- Ready-made alerts.

create function cdc.system_alerts(
    endpoint text, letters integer default 10, lag interval default '5 minutes', waiting bigint default 100000
) returns void language plpgsql as $$
begin
    perform cdc.alert('dlq_growing', 'cdc.dlq_growth', format('letters >= %s', letters), 'DLQ_GROWING', 'HIGH',
                      null, endpoint, array['error_type']);
    perform cdc.alert('schema_changed', 'cdc.schema_history', 'first_seen_at > now() - interval ''1 day''',
                      'SCHEMA_CHANGED', 'MEDIUM', null, endpoint);
    perform cdc.alert('endpoint_down', 'cdc.stat_endpoints', 'breaker <> ''closed''', 'ENDPOINT_DOWN', 'CRITICAL',
                      'jsonb_build_object(''endpoint'', name, ''failures_in_a_row'', failures_in_a_row,
                                          ''waiting'', waiting, ''last_error'', last_error)',
                      endpoint, array['name']);
    perform cdc.alert('backlog', 'cdc.backlog', format('lag > %L::interval or waiting > %s', lag, waiting), 'BACKLOG',
                      'HIGH', null, endpoint, array['kind', 'name']);
end
$$;

create function cdc.install_preset_alerts(
    name text, endpoint text, schema text default 'public', amount numeric default 10000, tier text default 'GOLD'
) returns void language plpgsql as $$
begin
    if name is distinct from 'ecommerce' then
        raise invalid_parameter_value using
            message = format('invalid value for argument "name": there are no alerts for a preset "%s"', name),
            hint = 'The presets are: ecommerce.';
    end if;
    perform cdc.alert('high_value_order', format('%I.cdc_orders_enriched', schema),
                      format('total_amount > %L::numeric and customer_tier = %L', amount, tier),
                      'HIGH_VALUE_ORDER', 'HIGH',
                      format('jsonb_build_object(''order_id'', order_id, ''amount'', total_amount, ''threshold'', %L::numeric,
                                                 ''customer_id'', customer_id, ''customer_name'', customer_name,
                                                 ''customer_tier'', customer_tier, ''status'', status)', amount),
                      endpoint);
    perform cdc.system_alerts(endpoint);
end
$$;
