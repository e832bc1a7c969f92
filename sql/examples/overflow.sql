-- Columns that the source has and the ODS table lacks: they are kept in extra_fields. This finds them, and makes one
-- of them, GIFT, a real column of cdc_orders.
--
--     psql -X -d ods -v ON_ERROR_STOP=1 -f sql/examples/overflow.sql

-- Which fields there are, how often, since when, and of what type.
select field.name, jsonb_typeof(field.value) as type, count(*) as orders, min(o.processed_at) as first_seen,
       min(field.value::text) as least, max(field.value::text) as greatest
  from cdc_orders o
 cross join jsonb_each(o.extra_fields) as field(name, value)
 group by field.name, jsonb_typeof(field.value)
 order by orders desc, field.name;

-- Orders with a certain value; an index on (extra_fields jsonb_path_ops) using gin makes it quick.
select order_id, extra_fields ->> 'GIFT' as gift
  from cdc_orders
 where extra_fields @> '{"GIFT": true}'
 order by order_id
 limit 10;

-- The column, with what is there already moved over; events that come from here on fill it. All in one transaction.
select cdc.promote_column('cdc_orders', 'GIFT', 'boolean') as rows_moved;
