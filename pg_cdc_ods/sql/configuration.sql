-- Who keeps the configuration in memory is told when it changes.

do $$
declare
    configured text;
begin
    foreach configured in array array['attachments', 'xml_extractions', 'schema_history', 'enrichments', 'aggregates',
                                      'alerts', 'routes'] loop
        execute format('create trigger configuration_changed after insert or update or delete or truncate on cdc.%I
                            for each statement execute function cdc.configuration_changed()', configured);
    end loop;
end
$$;
comment on function cdc.configuration_changed() is
    'Trigger of the tables of the configuration: who keeps it in memory reads it anew.';
