-- The five source tables, attached and no more: no XML is extracted, nothing enriched, summed or alerted. The columns are
-- those of the hand-written pipeline; what that one leaves out is left out here, too.

create extension pg_cdc_ods;

create table orders (
    order_id int primary key, customer_id int, order_date timestamp, total_amount numeric(15,2), status text,
    shipping_info text, created_at timestamp, updated_at timestamp
);
create index on orders (customer_id);

create table order_items (
    item_id int primary key, order_id int, product_id int, quantity int, unit_price numeric(10,2),
    subtotal numeric(15,2), created_at timestamp, updated_at timestamp
);
create index on order_items (order_id);

create table customers (
    customer_id int primary key, first_name text, last_name text, email text, phone text, address text, city text,
    country text, tier text, created_at timestamp, updated_at timestamp
);

create table products (
    product_id int primary key, name text, description text, category text, price numeric(10,2), stock_quantity int,
    status text, created_at timestamp, updated_at timestamp
);

create table audit_log (
    log_id int primary key, action text, entity_type text, entity_id int, user_id text, details text, ip_address text,
    created_at timestamp
);

select cdc.attach('*.ORDERS', 'orders'),
       cdc.attach('*.ORDER_ITEMS', 'order_items'),
       cdc.attach('*.CUSTOMERS', 'customers', dropped => '{ADDRESSES}'),
       cdc.attach('*.PRODUCTS', 'products'),
       cdc.attach('*.AUDIT_LOG', 'audit_log');
