-- Writes the arrays of one batch to the tables of the hand-written pipeline.

create function unnest_limit.upsert(which bigint) returns void language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    insert into baseline.orders as t (
        order_id, customer_id, order_date, total_amount, status, shipping_info, created_at, updated_at, op, scn,
        source_ts)
    select r.*
      from unnest_limit.orders as b,
           unnest(
               b.order_id, b.customer_id, b.order_date, b.total_amount, b.status, b.shipping_info, b.created_at,
               b.updated_at, b.op, b.scn, b.source_ts) as r
     where b.batch = which
    on conflict (order_id) do update set
        customer_id = excluded.customer_id, order_date = excluded.order_date, total_amount = excluded.total_amount,
        status = excluded.status, shipping_info = excluded.shipping_info, created_at = excluded.created_at,
        updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts,
        processed_at = now()
     where excluded.scn > t.scn;

    insert into baseline.order_items as t (
        item_id, order_id, product_id, quantity, unit_price, subtotal, created_at, updated_at, op, scn, source_ts)
    select r.*
      from unnest_limit.order_items as b,
           unnest(
               b.item_id, b.order_id, b.product_id, b.quantity, b.unit_price, b.subtotal, b.created_at, b.updated_at,
               b.op, b.scn, b.source_ts) as r
     where b.batch = which
    on conflict (item_id) do update set
        order_id = excluded.order_id, product_id = excluded.product_id, quantity = excluded.quantity,
        unit_price = excluded.unit_price, subtotal = excluded.subtotal, created_at = excluded.created_at,
        updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts,
        processed_at = now()
     where excluded.scn > t.scn;

    insert into baseline.customers as t (
        customer_id, first_name, last_name, email, phone, address, city, country, tier, created_at, updated_at, op,
        scn, source_ts)
    select r.*
      from unnest_limit.customers as b,
           unnest(
               b.customer_id, b.first_name, b.last_name, b.email, b.phone, b.address, b.city, b.country, b.tier,
               b.created_at, b.updated_at, b.op, b.scn, b.source_ts) as r
     where b.batch = which
    on conflict (customer_id) do update set
        first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email,
        phone = excluded.phone, address = excluded.address, city = excluded.city, country = excluded.country,
        tier = excluded.tier, created_at = excluded.created_at, updated_at = excluded.updated_at, op = excluded.op,
        scn = excluded.scn, source_ts = excluded.source_ts, processed_at = now()
     where excluded.scn > t.scn;

    insert into baseline.products as t (
        product_id, name, description, category, price, stock_quantity, status, created_at, updated_at, op, scn,
        source_ts)
    select r.*
      from unnest_limit.products as b,
           unnest(
               b.product_id, b.name, b.description, b.category, b.price, b.stock_quantity, b.status, b.created_at,
               b.updated_at, b.op, b.scn, b.source_ts) as r
     where b.batch = which
    on conflict (product_id) do update set
        name = excluded.name, description = excluded.description, category = excluded.category,
        price = excluded.price, stock_quantity = excluded.stock_quantity, status = excluded.status,
        created_at = excluded.created_at, updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn,
        source_ts = excluded.source_ts, processed_at = now()
     where excluded.scn > t.scn;

    insert into baseline.audit_log as t (
        log_id, action, entity_type, entity_id, user_id, details, ip_address, created_at, op, scn, source_ts)
    select r.*
      from unnest_limit.audit_log as b,
           unnest(
               b.log_id, b.action, b.entity_type, b.entity_id, b.user_id, b.details, b.ip_address, b.created_at, b.op,
               b.scn, b.source_ts) as r
     where b.batch = which
    on conflict (log_id) do update set
        action = excluded.action, entity_type = excluded.entity_type, entity_id = excluded.entity_id,
        user_id = excluded.user_id, details = excluded.details, ip_address = excluded.ip_address,
        created_at = excluded.created_at, op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts,
        processed_at = now()
     where excluded.scn > t.scn;
end
$$;
