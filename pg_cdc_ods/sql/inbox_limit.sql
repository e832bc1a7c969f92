-- How large the inbox may grow.

create trigger hold_back_messages before insert on cdc.inbox
    for each statement execute function cdc.hold_back_messages();

comment on function cdc.hold_back_messages() is
    'Trigger of cdc.inbox: refuses messages while the partition that takes them is as large as pg_cdc_ods.inbox_limit.';
