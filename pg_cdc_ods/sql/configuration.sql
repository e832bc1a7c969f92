-- Who keeps the configuration in memory is told when it changes.

create trigger configuration_changed after insert or update or delete or truncate on cdc.attachments
    for each statement execute function cdc.configuration_changed();
create trigger configuration_changed after insert or update or delete or truncate on cdc.xml_extractions
    for each statement execute function cdc.configuration_changed();
comment on function cdc.configuration_changed() is
    'Trigger of the tables of the configuration: apply workers read it anew before their next batch.';
