-- A table whose changes are told to somebody; the benchmark adds endpoint and route.

create extension pg_cdc_ods;

create table orders (
    order_id bigint primary key, customer_id bigint, status text, total_amount numeric(15,2), address text,
    updated_at timestamptz
);
