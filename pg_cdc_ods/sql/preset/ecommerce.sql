-- The e-commerce preset: five ODS tables, fed by the sources of the same name in any schema, the enriched orders, and
-- what they sum up to.

create table if not exists @schema@.cdc_orders (
    order_id bigint primary key,
    customer_id bigint,
    order_date timestamp,
    total_amount numeric(15,2),
    status text,
    created_at timestamp,
    updated_at timestamp,
    extra_fields jsonb,
    source_op text,
    source_ts timestamptz,
    source_pos bytea,
    processed_at timestamptz,
    first_source_ts timestamptz
) with (fillfactor = 85);
create index if not exists cdc_orders_customer_id on @schema@.cdc_orders (customer_id);

create table if not exists @schema@.cdc_order_items (
    item_id bigint primary key,
    order_id bigint,
    product_id bigint,
    quantity integer,
    unit_price numeric(15,2),
    subtotal numeric(15,2),
    extra_fields jsonb,
    source_op text,
    source_ts timestamptz,
    source_pos bytea,
    processed_at timestamptz
) with (fillfactor = 85);
create index if not exists cdc_order_items_order_id on @schema@.cdc_order_items (order_id);
create index if not exists cdc_order_items_product_id on @schema@.cdc_order_items (product_id);

create table if not exists @schema@.cdc_order_items_extracted (
    order_id bigint,
    line_no integer,
    product_id bigint,
    quantity integer,
    unit_price numeric(15,2),
    subtotal numeric(15,2),
    extracted_from text,
    primary key (order_id, extracted_from, line_no)
) with (fillfactor = 85);

create table if not exists @schema@.cdc_customers (
    customer_id bigint primary key,
    name text,
    email text,
    tier text,
    region text,
    created_at timestamp,
    extra_fields jsonb,
    source_op text,
    source_ts timestamptz,
    source_pos bytea,
    processed_at timestamptz
) with (fillfactor = 85);

create table if not exists @schema@.cdc_customer_addresses_extracted (
    customer_id bigint,
    line_no integer,
    address_type text,
    street text,
    city text,
    zip text,
    extracted_from text,
    primary key (customer_id, extracted_from, line_no)
) with (fillfactor = 85);

create table if not exists @schema@.cdc_products (
    product_id bigint primary key,
    name text,
    category text,
    price numeric(15,2),
    stock_qty integer,
    is_active boolean,
    extra_fields jsonb,
    source_op text,
    source_ts timestamptz,
    source_pos bytea,
    processed_at timestamptz
) with (fillfactor = 85);

create table if not exists @schema@.cdc_audit_log (
    log_id bigint primary key,
    event_type text,
    table_name text,
    record_id text,
    changed_by text,
    changed_at timestamp,
    extra_fields jsonb,
    source_op text,
    source_ts timestamptz,
    source_pos bytea,
    processed_at timestamptz
);

select cdc.attach('*.ORDERS', '@schema@.cdc_orders'),
       cdc.attach('*.ORDER_ITEMS', '@schema@.cdc_order_items'),
       cdc.attach('*.CUSTOMERS', '@schema@.cdc_customers', columns => '{
           "name": [{"join": ["FIRST_NAME", "LAST_NAME"], "separator": " "}, "NAME"],
           "region": ["CITY", "REGION"]}'),
       cdc.attach('*.PRODUCTS', '@schema@.cdc_products', columns => '{
           "stock_qty": ["STOCK_QUANTITY", "STOCK_QTY"],
           "is_active": [{"column": "STATUS", "equals": "ACTIVE"}, {"column": "IS_ACTIVE", "equals": "1"}]}'),
       cdc.attach('*.AUDIT_LOG', '@schema@.cdc_audit_log', columns => '{
           "event_type": "ACTION",
           "table_name": ["ENTITY_TYPE", "TABLE_NAME"],
           "record_id": ["ENTITY_ID", "RECORD_ID"],
           "changed_by": ["USER_ID", "CHANGED_BY"],
           "changed_at": ["CREATED_AT", "CHANGED_AT"]}');

select cdc.extract_xml('*.ORDERS', document, '@schema@.cdc_order_items_extracted', './/item', '{
           "product_id": "@product_id",
           "quantity": "@quantity",
           "unit_price": "@unit_price",
           "subtotal": {"path": "@subtotal", "default": {"multiply": ["quantity", "unit_price"]}}}')
  from unnest(array['SHIPPING_INFO', 'ORDER_DETAILS']) as document;
select cdc.extract_xml('*.CUSTOMERS', 'ADDRESSES', '@schema@.cdc_customer_addresses_extracted', './/address', '{
           "address_type": "@type",
           "street": "street/text()",
           "city": "city/text()",
           "zip": "zip/text()"}');

-- Enriched orders ----------------------------------------------------------------------------------------------------

create table if not exists @schema@.cdc_orders_enriched (
    order_id bigint primary key,
    customer_id bigint,
    customer_name text,
    customer_tier text,
    customer_region text,
    total_amount numeric(15,2),
    item_count integer,
    items_total numeric(15,2),
    product_names text[],
    product_categories text[],
    category_totals numeric(15,2)[],
    order_date timestamp,
    status text,
    complete boolean,
    missing text[],
    window_start timestamp,
    window_end timestamp,
    processed_at timestamptz
) with (fillfactor = 85);
create index if not exists cdc_orders_enriched_missing on @schema@.cdc_orders_enriched (order_id) where missing <> '{}';
comment on column @schema@.cdc_orders_enriched.category_totals is 'The subtotals of the items of each of product_categories.';
comment on column @schema@.cdc_orders_enriched.missing is
    'What has not come: customer, items, or the product of an item (products).';

select cdc.enrich('orders_enriched', '@schema@.cdc_orders_enriched', 'order_id',
    $query$
        select o.order_id, o.customer_id, c.name as customer_name, c.tier as customer_tier, c.region as customer_region,
               o.total_amount, i.item_count, i.items_total,
               -- Most orders have one product, or none: only more than one have to be sorted and summed up.
               case when cardinality(i.names) < 2 then i.names else (
                   select coalesce(array_agg(distinct n.name order by n.name), '{}') from unnest(i.names) as n(name))
               end as product_names,
               case when cardinality(i.categories) < 2 then i.categories else (
                   select coalesce(array_agg(distinct n.category order by n.category), '{}')
                     from unnest(i.categories) as n(category))
               end as product_categories,
               case when cardinality(i.categories) < 2 then i.subtotals else (
                   select coalesce(array_agg(t.total order by t.category), '{}')
                     from (select n.category, sum(n.subtotal) as total
                             from unnest(i.categories, i.subtotals) as n(category, subtotal) group by n.category) t)
               end as category_totals,
               o.order_date, o.status, m.missing = '{}' as complete, m.missing,
               w.window_start, w.window_start + interval '5 minutes' as window_end
          from @schema@.cdc_orders o
          left join @schema@.cdc_customers c on c.customer_id = o.customer_id
          left join lateral (
            select count(*)::integer as item_count, coalesce(sum(x.subtotal), 0) as items_total,
                   coalesce(array_agg(p.name) filter (where p.name is not null), '{}') as names,
                   coalesce(array_agg(p.category) filter (where p.category is not null), '{}') as categories,
                   coalesce(array_agg(coalesce(x.subtotal, 0)) filter (where p.category is not null), '{}') as subtotals,
                   coalesce(bool_or(p.product_id is null), false) as lacks_products
              from @schema@.cdc_order_items x left join @schema@.cdc_products p on p.product_id = x.product_id
             where x.order_id = o.order_id) i on true
         cross join lateral (
            select array_remove(array[case when c.customer_id is null then 'customer' end,
                                      case when i.item_count = 0 then 'items' end,
                                      case when i.lacks_products then 'products' end], null) as missing) m
         cross join lateral (
            select date_bin('5 minutes', coalesce(o.first_source_ts, o.source_ts) at time zone 'UTC', '2001-01-01')
                       as window_start) w
    $query$,
    '[{"table": "@schema@.cdc_orders", "keys": "select order_id from changed"},
      {"table": "@schema@.cdc_order_items", "keys": "select order_id from changed",
       "uses": ["order_id", "product_id", "subtotal"]},
      {"table": "@schema@.cdc_customers", "uses": ["name", "tier", "region"],
       "columns": ["customer_name", "customer_tier", "customer_region"],
       "keys": "select o.order_id from changed c join @schema@.cdc_orders o on o.customer_id = c.customer_id"},
      {"table": "@schema@.cdc_products", "uses": ["name", "category"],
       "keys": "select x.order_id from changed p join @schema@.cdc_order_items x on x.product_id = p.product_id"}]');

create table if not exists @schema@.cdc_order_aggregations (
    window_start timestamp not null,
    window_end timestamp not null,
    customer_tier text,
    product_category text,
    order_count bigint not null,
    total_revenue numeric(20,2) not null,
    avg_order_value numeric(20,2) generated always as (total_revenue / nullif(order_count, 0)) stored,
    closed boolean not null default false,
    unique nulls not distinct (window_start, customer_tier, product_category)
) with (fillfactor = 70);
create index if not exists cdc_order_aggregations_open on @schema@.cdc_order_aggregations (window_end) where not closed;

select cdc.aggregate('order_aggregations', '@schema@.cdc_orders_enriched', '@schema@.cdc_order_aggregations',
    $contributions$
        -- A row for each category, or one without. In FROM, unnest() would cost more than all the rest.
        select e.window_start as event_time, e.customer_tier, e.product_category,
               case when e.product_category is null then e.total_amount else e.category_total end as total_revenue
          from (select c.window_start, c.customer_tier, c.total_amount, unnest(c.category_totals) as category_total,
                       unnest(case when cardinality(c.product_categories) > 0 then c.product_categories else array[null] end)
                           as product_category
                  from changed c) e
    $contributions$,
    groups => array['customer_tier', 'product_category'], counter => 'order_count');

create or replace view @schema@.cdc_dlq as select * from cdc.dlq;
create or replace view @schema@.v_dlq_summary as select * from cdc.dlq_summary;
