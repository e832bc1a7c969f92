-- One source table, attached by hand. Run it as a member of cdc_admin who may create tables in the schema:
--
--     psql -X -d ods -v ON_ERROR_STOP=1 -f sql/examples/attach.sql

-- The target: columns of the source by their names in lower case, a primary key, and types as narrow as they are true.
create table invoices (
    invoice_id bigint primary key,
    customer_name text,
    amount numeric(15,2) not null check (amount >= 0),
    currency text not null default 'EUR',
    due_date date,
    is_paid boolean
);

-- SALES.INVOICES feeds it. Columns that it does not have go to extra_fields (on_unknown => 'reject' would make such
-- an event a dead letter). A deleted row stays and is marked by source_op = 'd' (on_delete => 'delete' removes it,
-- 'ignore' leaves it as it was). A column that only decides a flag, as STATUS does here, is kept in extra_fields, too;
-- those in "dropped" are not kept at all. Attaching adds the columns extra_fields, source_op, source_ts, source_pos and
-- processed_at to the table. Calling it again replaces the attachment.
select cdc.attach(
    'SALES.INVOICES', 'public.invoices',
    on_unknown => 'overflow',
    on_delete => 'soft',
    columns => '{
        "customer_name": {"join": ["FIRST_NAME", "LAST_NAME"], "separator": " "},
        "due_date": ["DUE_DATE", "PAYABLE_UNTIL"],
        "is_paid": {"column": "STATUS", "equals": "PAID"}
    }',
    dropped => array['INTERNAL_NOTE']);

-- The whole list.
select source_schema, source_table, target_schema, target_table, key, on_unknown, on_delete, owner
  from cdc.attachments
 order by source_schema, source_table;
