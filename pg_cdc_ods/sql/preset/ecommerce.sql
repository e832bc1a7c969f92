-- The e-commerce preset: five ODS tables, fed by the sources of the same name in any schema.

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
    processed_at timestamptz
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

create or replace view @schema@.cdc_dlq as select * from cdc.dlq;
create or replace view @schema@.v_dlq_summary as select * from cdc.dlq_summary;
