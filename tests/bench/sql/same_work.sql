-- What the hand-written pipeline does and no more: its tables, the items in the XML of orders, and enriched orders with the
-- columns that it gives them. Runs after upserts_only.sql.

create table items_extracted (
    order_id int, line_no int, product_id int, quantity int, unit_price numeric(10,2), subtotal numeric(15,2),
    primary key (order_id, line_no)
);
select cdc.extract_xml('*.ORDERS', 'SHIPPING_INFO', 'items_extracted', '/shipping_info/items/item', '{
    "product_id": "@product_id",
    "quantity": "@quantity",
    "unit_price": "@unit_price",
    "subtotal": {"path": "@subtotal", "default": {"multiply": ["quantity", "unit_price"]}}}');

create table orders_enriched (
    order_id int primary key, customer_id int, customer_name text, customer_tier text, customer_region text,
    total_amount numeric(15,2), item_count int, items_total numeric(15,2), order_date timestamp, status text,
    processed_at timestamptz
);
select cdc.enrich('orders_enriched', 'orders_enriched', 'order_id',
    $query$
        select o.order_id, o.customer_id, c.first_name || ' ' || c.last_name as customer_name, c.tier as customer_tier,
               c.city as customer_region, o.total_amount, i.item_count, i.items_total, o.order_date, o.status
          from orders o
          left join customers c on c.customer_id = o.customer_id
          left join lateral (
            select count(*)::int as item_count, sum(x.subtotal) as items_total
              from order_items x where x.order_id = o.order_id) i on true
    $query$,
    '[{"table": "orders", "keys": "select order_id from changed"},
      {"table": "order_items", "uses": ["order_id", "subtotal"], "keys": "select order_id from changed"},
      {"table": "customers", "uses": ["first_name", "last_name", "tier", "city"],
       "columns": ["customer_name", "customer_tier", "customer_region"],
       "keys": "select o.order_id from changed c join orders o on o.customer_id = c.customer_id"}]');

-- The enriched rows of what the tables held before, which is nothing.
select cdc.apply();
