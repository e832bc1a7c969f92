-- Five keyed upserts of the messages numbered from "first" to below "past": the newest change of each key by SCN wins.
-- Each returns the keys that the enrichment has to look at, if any.
--
-- Plans are made anew for each batch and use indexes: one kept from when the tables were empty would
-- be many times slower.

create function baseline.upsert_orders(first bigint, past bigint) returns int[] language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare
    touched int[];
begin
    with written as (
        insert into baseline.orders as t (
            order_id, customer_id, order_date, total_amount, status, shipping_info, created_at, updated_at, op, scn,
            source_ts)
        select distinct on (r."ORDER_ID")
            r."ORDER_ID", r."CUSTOMER_ID", r."ORDER_DATE", r."TOTAL_AMOUNT", r."STATUS", r."SHIPPING_INFO",
            r."CREATED_AT", r."UPDATED_AT", (j ->> 'op')::"char", (j -> 'source' ->> 'scn')::bigint,
            to_timestamp((j ->> 'ts_ms')::bigint / 1000.0)
          from (select payload::jsonb -> 'payload' as j from baseline.staging
                 where seq >= first and seq < past and topic like 'cdc/oracle/SALES/ORDERS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "ORDER_ID" int, "CUSTOMER_ID" int, "ORDER_DATE" timestamp, "TOTAL_AMOUNT" numeric, "STATUS" text,
                   "SHIPPING_INFO" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by r."ORDER_ID", (j -> 'source' ->> 'scn')::bigint desc
        on conflict (order_id) do update set
            customer_id = excluded.customer_id, order_date = excluded.order_date,
            total_amount = excluded.total_amount, status = excluded.status, shipping_info = excluded.shipping_info,
            created_at = excluded.created_at, updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn,
            source_ts = excluded.source_ts, processed_at = now()
         where excluded.scn > t.scn
        returning t.order_id
    )
    select array_agg(order_id) into touched from written;
    return touched;
end
$$;

create function baseline.upsert_order_items(first bigint, past bigint) returns int[] language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare
    touched int[];
begin
    with written as (
        insert into baseline.order_items as t (
            item_id, order_id, product_id, quantity, unit_price, subtotal, created_at, updated_at, op, scn, source_ts)
        select distinct on (r."ITEM_ID")
            r."ITEM_ID", r."ORDER_ID", r."PRODUCT_ID", r."QUANTITY", r."UNIT_PRICE", r."SUBTOTAL", r."CREATED_AT",
            r."UPDATED_AT", (j ->> 'op')::"char", (j -> 'source' ->> 'scn')::bigint,
            to_timestamp((j ->> 'ts_ms')::bigint / 1000.0)
          from (select payload::jsonb -> 'payload' as j from baseline.staging
                 where seq >= first and seq < past and topic like 'cdc/oracle/SALES/ORDER_ITEMS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "ITEM_ID" int, "ORDER_ID" int, "PRODUCT_ID" int, "QUANTITY" int, "UNIT_PRICE" numeric,
                   "SUBTOTAL" numeric, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by r."ITEM_ID", (j -> 'source' ->> 'scn')::bigint desc
        on conflict (item_id) do update set
            order_id = excluded.order_id, product_id = excluded.product_id, quantity = excluded.quantity,
            unit_price = excluded.unit_price, subtotal = excluded.subtotal, created_at = excluded.created_at,
            updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts,
            processed_at = now()
         where excluded.scn > t.scn
        returning t.order_id
    )
    select array_agg(distinct order_id) into touched from written;
    return touched;
end
$$;

create function baseline.upsert_customers(first bigint, past bigint) returns int[] language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
declare
    touched int[];
begin
    with written as (
        insert into baseline.customers as t (
            customer_id, first_name, last_name, email, phone, address, city, country, tier, created_at, updated_at,
            op, scn, source_ts)
        select distinct on (r."CUSTOMER_ID")
            r."CUSTOMER_ID", r."FIRST_NAME", r."LAST_NAME", r."EMAIL", r."PHONE", r."ADDRESS", r."CITY", r."COUNTRY",
            r."TIER", r."CREATED_AT", r."UPDATED_AT", (j ->> 'op')::"char", (j -> 'source' ->> 'scn')::bigint,
            to_timestamp((j ->> 'ts_ms')::bigint / 1000.0)
          from (select payload::jsonb -> 'payload' as j from baseline.staging
                 where seq >= first and seq < past and topic like 'cdc/oracle/SALES/CUSTOMERS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "CUSTOMER_ID" int, "FIRST_NAME" text, "LAST_NAME" text, "EMAIL" text, "PHONE" text, "ADDRESS" text,
                   "CITY" text, "COUNTRY" text, "TIER" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by r."CUSTOMER_ID", (j -> 'source' ->> 'scn')::bigint desc
        on conflict (customer_id) do update set
            first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email,
            phone = excluded.phone, address = excluded.address, city = excluded.city, country = excluded.country,
            tier = excluded.tier, created_at = excluded.created_at, updated_at = excluded.updated_at,
            op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts, processed_at = now()
         where excluded.scn > t.scn
        returning t.customer_id
    )
    select array_agg(customer_id) into touched from written;
    return touched;
end
$$;

create function baseline.upsert_products(first bigint, past bigint) returns void language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    insert into baseline.products as t (
        product_id, name, description, category, price, stock_quantity, status, created_at, updated_at, op, scn,
        source_ts)
    select distinct on (r."PRODUCT_ID")
        r."PRODUCT_ID", r."NAME", r."DESCRIPTION", r."CATEGORY", r."PRICE", r."STOCK_QUANTITY", r."STATUS",
        r."CREATED_AT", r."UPDATED_AT", (j ->> 'op')::"char", (j -> 'source' ->> 'scn')::bigint,
        to_timestamp((j ->> 'ts_ms')::bigint / 1000.0)
      from (select payload::jsonb -> 'payload' as j from baseline.staging
             where seq >= first and seq < past and topic like 'cdc/oracle/SALES/PRODUCTS/%' offset 0) as message,
           lateral jsonb_to_record(
               case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
               "PRODUCT_ID" int, "NAME" text, "DESCRIPTION" text, "CATEGORY" text, "PRICE" numeric,
               "STOCK_QUANTITY" int, "STATUS" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
     order by r."PRODUCT_ID", (j -> 'source' ->> 'scn')::bigint desc
    on conflict (product_id) do update set
        name = excluded.name, description = excluded.description, category = excluded.category,
        price = excluded.price, stock_quantity = excluded.stock_quantity, status = excluded.status,
        created_at = excluded.created_at, updated_at = excluded.updated_at, op = excluded.op, scn = excluded.scn,
        source_ts = excluded.source_ts, processed_at = now()
     where excluded.scn > t.scn;
end
$$;

create function baseline.upsert_audit_log(first bigint, past bigint) returns void language plpgsql
    set jit = off set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    insert into baseline.audit_log as t (
        log_id, action, entity_type, entity_id, user_id, details, ip_address, created_at, op, scn, source_ts)
    select distinct on (r."LOG_ID")
        r."LOG_ID", r."ACTION", r."ENTITY_TYPE", r."ENTITY_ID", r."USER_ID", r."DETAILS", r."IP_ADDRESS",
        r."CREATED_AT", (j ->> 'op')::"char", (j -> 'source' ->> 'scn')::bigint,
        to_timestamp((j ->> 'ts_ms')::bigint / 1000.0)
      from (select payload::jsonb -> 'payload' as j from baseline.staging
             where seq >= first and seq < past and topic like 'cdc/oracle/SALES/AUDIT_LOG/%' offset 0) as message,
           lateral jsonb_to_record(
               case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
               "LOG_ID" int, "ACTION" text, "ENTITY_TYPE" text, "ENTITY_ID" int, "USER_ID" text, "DETAILS" text,
               "IP_ADDRESS" text, "CREATED_AT" timestamp)
     order by r."LOG_ID", (j -> 'source' ->> 'scn')::bigint desc
    on conflict (log_id) do update set
        action = excluded.action, entity_type = excluded.entity_type, entity_id = excluded.entity_id,
        user_id = excluded.user_id, details = excluded.details, ip_address = excluded.ip_address,
        created_at = excluded.created_at, op = excluded.op, scn = excluded.scn, source_ts = excluded.source_ts,
        processed_at = now()
     where excluded.scn > t.scn;
end
$$;

create function baseline.upsert(first bigint, past bigint) returns void language plpgsql as $$
begin
    perform baseline.upsert_orders(first, past);
    perform baseline.upsert_order_items(first, past);
    perform baseline.upsert_customers(first, past);
    perform baseline.upsert_products(first, past);
    perform baseline.upsert_audit_log(first, past);
end
$$;
