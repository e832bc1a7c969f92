-- The hand-written pipeline: what somebody would write in SQL instead of using the extension. Staging tables, current
-- state by key with the indexes that the join needs, extracted and enriched rows. Deleted rows stay, with op 'd'.

create schema baseline;

-- For raw COPY.
create table baseline.messages (topic text, payload text);

-- For batches: numbered.
create table baseline.staging (seq bigint primary key, topic text, payload text);

create table baseline.orders (
    order_id int primary key, customer_id int, order_date timestamp, total_amount numeric(15,2), status text,
    shipping_info text, created_at timestamp, updated_at timestamp,
    op "char", scn bigint, source_ts timestamptz, processed_at timestamptz default now()
);
create index on baseline.orders (customer_id);

create table baseline.order_items (
    item_id int primary key, order_id int, product_id int, quantity int, unit_price numeric(10,2),
    subtotal numeric(15,2), created_at timestamp, updated_at timestamp,
    op "char", scn bigint, source_ts timestamptz, processed_at timestamptz default now()
);
create index on baseline.order_items (order_id);

create table baseline.customers (
    customer_id int primary key, first_name text, last_name text, email text, phone text, address text, city text,
    country text, tier text, created_at timestamp, updated_at timestamp,
    op "char", scn bigint, source_ts timestamptz, processed_at timestamptz default now()
);

create table baseline.products (
    product_id int primary key, name text, description text, category text, price numeric(10,2), stock_quantity int,
    status text, created_at timestamp, updated_at timestamp,
    op "char", scn bigint, source_ts timestamptz, processed_at timestamptz default now()
);

create table baseline.audit_log (
    log_id int primary key, action text, entity_type text, entity_id int, user_id text, details text, ip_address text,
    created_at timestamp,
    op "char", scn bigint, source_ts timestamptz, processed_at timestamptz default now()
);

create table baseline.items_extracted (
    order_id int, line int, product_id int, quantity int, unit_price numeric(10,2), subtotal numeric(15,2),
    primary key (order_id, line)
);

create table baseline.orders_enriched (
    order_id int primary key, customer_id int, customer_name text, customer_tier text, customer_region text,
    total_amount numeric(15,2), item_count int, items_total numeric(15,2), order_date timestamp, status text,
    processed_at timestamptz default now()
);
