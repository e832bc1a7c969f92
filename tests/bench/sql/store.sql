-- A store that has grown before the run: orders of one item each, their customers and products, enriched rows and windows
-- as the preset would have made them. Keys begin at a billion, so that the events of the run meet none of them.

create function fill_store(orders bigint, products bigint) returns void language plpgsql
    set session_replication_role = replica as $$
declare
    base constant bigint := 1000000000;
    orders_of_a_customer constant bigint := 10;
    -- Neighbours have a product in common, as orders of a day have.
    orders_in_a_row constant bigint := 1000;
    begun constant timestamptz := '2025-01-01 00:00:00Z';
    tiers constant text[] := '{BRONZE,BRONZE,SILVER,SILVER,GOLD}';
begin
    insert into cdc_customers (customer_id, name, tier, region, source_op, source_ts, source_pos, processed_at)
    select base + i, 'Customer ' || i, tiers[1 + i % 5], 'Berlin', 'c', begun, '\x00', now()
      from generate_series(0, (orders - 1) / orders_of_a_customer) as i;

    insert into cdc_products (product_id, name, category, price, stock_qty, is_active, source_op, source_ts, source_pos,
                              processed_at)
    select base + i, 'Product ' || i, 'Category ' || i % 10, 10, 100, true, 'c', begun, '\x00', now()
      from generate_series(0, products - 1) as i;

    insert into cdc_orders (order_id, customer_id, order_date, total_amount, status, source_op, source_ts,
                            source_pos, processed_at, first_source_ts)
    select base + i, base + i / orders_of_a_customer, at at time zone 'UTC', 20 + i % 4000, 'DELIVERED', 'c', at, '\x00',
           now(), at
      from generate_series(0, orders - 1) as i,
           lateral (select begun + i % 2592000 * interval '1 second' as at) as t;

    insert into cdc_order_items (item_id, order_id, product_id, quantity, unit_price, subtotal, source_op, source_ts,
                                 source_pos, processed_at)
    select base + i, base + i, base + i / orders_in_a_row % products, 2, 10, 20, 'c',
           begun + i % 2592000 * interval '1 second', '\x00', now()
      from generate_series(0, orders - 1) as i;

    insert into cdc_orders_enriched (
        order_id, customer_id, customer_name, customer_tier, customer_region, total_amount, item_count, items_total,
        product_names, product_categories, category_totals, order_date, status, complete, missing, window_start,
        window_end, processed_at)
    select base + i, base + c, 'Customer ' || c, tiers[1 + c % 5], 'Berlin', 20 + i % 4000, 1, 20,
           array['Product ' || p], array['Category ' || p % 10], '{20}', at, 'DELIVERED', true, '{}', w,
           w + interval '5 minutes', now()
      from generate_series(0, orders - 1) as i,
           lateral (select i / orders_of_a_customer as c, i / orders_in_a_row % products as p,
                           (begun + i % 2592000 * interval '1 second') at time zone 'UTC' as at) as t,
           lateral (select date_bin('5 minutes', at, '2001-01-01') as w) as u;

    insert into cdc_order_aggregations (
        window_start, window_end, customer_tier, product_category, order_count, total_revenue, closed)
    select window_start, window_end, customer_tier, product_categories[1], count(*), sum(category_totals[1]), true
      from cdc_orders_enriched where order_id >= base group by 1, 2, 3, 4;
end
$$;
