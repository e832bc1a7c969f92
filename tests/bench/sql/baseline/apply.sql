-- Everything: the five upserts, then enriched orders made anew wherever the order, its items or its customer changed, and
-- items extracted from the XML of the orders. Returns how many orders were looked at.

create function baseline.apply(first bigint, past bigint) returns int language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare
    changed_orders int[] := baseline.upsert_orders(first, past);
    orders_of_items int[] := baseline.upsert_order_items(first, past);
    changed_customers int[] := baseline.upsert_customers(first, past);
    affected int[];
begin
    perform baseline.upsert_products(first, past);
    perform baseline.upsert_audit_log(first, past);
    affected := array(
        select unnest(changed_orders)
        union select unnest(orders_of_items)
        union select order_id from baseline.orders where customer_id = any (changed_customers));

    insert into baseline.orders_enriched as e (
        order_id, customer_id, customer_name, customer_tier, customer_region, total_amount, item_count, items_total,
        order_date, status)
    select o.order_id, o.customer_id, c.first_name || ' ' || c.last_name, c.tier, c.city, o.total_amount,
           coalesce(i.item_count, 0), i.items_total, o.order_date, o.status
      from baseline.orders o
      left join baseline.customers c on c.customer_id = o.customer_id and c.op <> 'd'
      left join lateral (
          select count(*)::int as item_count, sum(subtotal) as items_total
            from baseline.order_items x where x.order_id = o.order_id and x.op <> 'd') i on true
     where o.order_id = any (affected) and o.op <> 'd'
    on conflict (order_id) do update set
        customer_id = excluded.customer_id, customer_name = excluded.customer_name,
        customer_tier = excluded.customer_tier, customer_region = excluded.customer_region,
        total_amount = excluded.total_amount, item_count = excluded.item_count, items_total = excluded.items_total,
        order_date = excluded.order_date, status = excluded.status, processed_at = now()
     where (e.customer_id, e.customer_name, e.customer_tier, e.customer_region, e.total_amount, e.item_count,
            e.items_total, e.order_date, e.status)
        is distinct from
           (excluded.customer_id, excluded.customer_name, excluded.customer_tier, excluded.customer_region,
            excluded.total_amount, excluded.item_count, excluded.items_total, excluded.order_date, excluded.status);
    delete from baseline.orders_enriched e using baseline.orders o
     where o.order_id = any (changed_orders) and e.order_id = o.order_id and o.op = 'd';

    delete from baseline.items_extracted where order_id = any (changed_orders);
    insert into baseline.items_extracted
    select o.order_id, x.line, x.product_id, x.quantity, x.unit_price,
           coalesce(x.subtotal, round(x.quantity * x.unit_price, 2))
      from (select order_id, shipping_info from baseline.orders
             where order_id = any (changed_orders) and op <> 'd' and shipping_info <> ''
               and xml_is_well_formed_document(shipping_info) offset 0) as o,
           xmltable('/shipping_info/items/item' passing xmlparse(document o.shipping_info)
               columns line for ordinality, product_id int path '@product_id', quantity int path '@quantity',
                       unit_price numeric path '@unit_price', subtotal numeric path '@subtotal') as x;
    return coalesce(cardinality(affected), 0);
end
$$;
