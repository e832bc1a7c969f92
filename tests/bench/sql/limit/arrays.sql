-- What the upserts would do if decoding cost nothing: their rows, folded to one of each key, lie in the server as typed
-- arrays, a row of arrays for each batch.

create schema unnest_limit;

create table unnest_limit.orders as
select batch,
       array_agg(order_id) as order_id, array_agg(customer_id) as customer_id, array_agg(order_date) as order_date,
       array_agg(total_amount) as total_amount, array_agg(status) as status,
       array_agg(shipping_info) as shipping_info, array_agg(created_at) as created_at,
       array_agg(updated_at) as updated_at, array_agg(op) as op, array_agg(scn) as scn,
       array_agg(source_ts) as source_ts
  from (select distinct on (batch, r."ORDER_ID")
               batch,
               r."ORDER_ID" as order_id, r."CUSTOMER_ID" as customer_id, r."ORDER_DATE" as order_date,
               r."TOTAL_AMOUNT" as total_amount, r."STATUS" as status, r."SHIPPING_INFO" as shipping_info,
               r."CREATED_AT" as created_at, r."UPDATED_AT" as updated_at, (j ->> 'op')::"char" as op,
               (j -> 'source' ->> 'scn')::bigint as scn, to_timestamp((j ->> 'ts_ms')::bigint / 1000.0) as source_ts
          from (select seq / @batch@ as batch, payload::jsonb -> 'payload' as j from baseline.staging
                 where topic like 'cdc/oracle/SALES/ORDERS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "ORDER_ID" int, "CUSTOMER_ID" int, "ORDER_DATE" timestamp, "TOTAL_AMOUNT" numeric, "STATUS" text,
                   "SHIPPING_INFO" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by batch, r."ORDER_ID", (j -> 'source' ->> 'scn')::bigint desc) as newest
 group by batch;
create unique index on unnest_limit.orders (batch);

create table unnest_limit.order_items as
select batch,
       array_agg(item_id) as item_id, array_agg(order_id) as order_id, array_agg(product_id) as product_id,
       array_agg(quantity) as quantity, array_agg(unit_price) as unit_price, array_agg(subtotal) as subtotal,
       array_agg(created_at) as created_at, array_agg(updated_at) as updated_at, array_agg(op) as op,
       array_agg(scn) as scn, array_agg(source_ts) as source_ts
  from (select distinct on (batch, r."ITEM_ID")
               batch,
               r."ITEM_ID" as item_id, r."ORDER_ID" as order_id, r."PRODUCT_ID" as product_id,
               r."QUANTITY" as quantity, r."UNIT_PRICE" as unit_price, r."SUBTOTAL" as subtotal,
               r."CREATED_AT" as created_at, r."UPDATED_AT" as updated_at, (j ->> 'op')::"char" as op,
               (j -> 'source' ->> 'scn')::bigint as scn, to_timestamp((j ->> 'ts_ms')::bigint / 1000.0) as source_ts
          from (select seq / @batch@ as batch, payload::jsonb -> 'payload' as j from baseline.staging
                 where topic like 'cdc/oracle/SALES/ORDER_ITEMS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "ITEM_ID" int, "ORDER_ID" int, "PRODUCT_ID" int, "QUANTITY" int, "UNIT_PRICE" numeric,
                   "SUBTOTAL" numeric, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by batch, r."ITEM_ID", (j -> 'source' ->> 'scn')::bigint desc) as newest
 group by batch;
create unique index on unnest_limit.order_items (batch);

create table unnest_limit.customers as
select batch,
       array_agg(customer_id) as customer_id, array_agg(first_name) as first_name, array_agg(last_name) as last_name,
       array_agg(email) as email, array_agg(phone) as phone, array_agg(address) as address, array_agg(city) as city,
       array_agg(country) as country, array_agg(tier) as tier, array_agg(created_at) as created_at,
       array_agg(updated_at) as updated_at, array_agg(op) as op, array_agg(scn) as scn,
       array_agg(source_ts) as source_ts
  from (select distinct on (batch, r."CUSTOMER_ID")
               batch,
               r."CUSTOMER_ID" as customer_id, r."FIRST_NAME" as first_name, r."LAST_NAME" as last_name,
               r."EMAIL" as email, r."PHONE" as phone, r."ADDRESS" as address, r."CITY" as city,
               r."COUNTRY" as country, r."TIER" as tier, r."CREATED_AT" as created_at, r."UPDATED_AT" as updated_at,
               (j ->> 'op')::"char" as op, (j -> 'source' ->> 'scn')::bigint as scn,
               to_timestamp((j ->> 'ts_ms')::bigint / 1000.0) as source_ts
          from (select seq / @batch@ as batch, payload::jsonb -> 'payload' as j from baseline.staging
                 where topic like 'cdc/oracle/SALES/CUSTOMERS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "CUSTOMER_ID" int, "FIRST_NAME" text, "LAST_NAME" text, "EMAIL" text, "PHONE" text, "ADDRESS" text,
                   "CITY" text, "COUNTRY" text, "TIER" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by batch, r."CUSTOMER_ID", (j -> 'source' ->> 'scn')::bigint desc) as newest
 group by batch;
create unique index on unnest_limit.customers (batch);

create table unnest_limit.products as
select batch,
       array_agg(product_id) as product_id, array_agg(name) as name, array_agg(description) as description,
       array_agg(category) as category, array_agg(price) as price, array_agg(stock_quantity) as stock_quantity,
       array_agg(status) as status, array_agg(created_at) as created_at, array_agg(updated_at) as updated_at,
       array_agg(op) as op, array_agg(scn) as scn, array_agg(source_ts) as source_ts
  from (select distinct on (batch, r."PRODUCT_ID")
               batch,
               r."PRODUCT_ID" as product_id, r."NAME" as name, r."DESCRIPTION" as description,
               r."CATEGORY" as category, r."PRICE" as price, r."STOCK_QUANTITY" as stock_quantity,
               r."STATUS" as status, r."CREATED_AT" as created_at, r."UPDATED_AT" as updated_at,
               (j ->> 'op')::"char" as op, (j -> 'source' ->> 'scn')::bigint as scn,
               to_timestamp((j ->> 'ts_ms')::bigint / 1000.0) as source_ts
          from (select seq / @batch@ as batch, payload::jsonb -> 'payload' as j from baseline.staging
                 where topic like 'cdc/oracle/SALES/PRODUCTS/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "PRODUCT_ID" int, "NAME" text, "DESCRIPTION" text, "CATEGORY" text, "PRICE" numeric,
                   "STOCK_QUANTITY" int, "STATUS" text, "CREATED_AT" timestamp, "UPDATED_AT" timestamp)
         order by batch, r."PRODUCT_ID", (j -> 'source' ->> 'scn')::bigint desc) as newest
 group by batch;
create unique index on unnest_limit.products (batch);

create table unnest_limit.audit_log as
select batch,
       array_agg(log_id) as log_id, array_agg(action) as action, array_agg(entity_type) as entity_type,
       array_agg(entity_id) as entity_id, array_agg(user_id) as user_id, array_agg(details) as details,
       array_agg(ip_address) as ip_address, array_agg(created_at) as created_at, array_agg(op) as op,
       array_agg(scn) as scn, array_agg(source_ts) as source_ts
  from (select distinct on (batch, r."LOG_ID")
               batch,
               r."LOG_ID" as log_id, r."ACTION" as action, r."ENTITY_TYPE" as entity_type, r."ENTITY_ID" as entity_id,
               r."USER_ID" as user_id, r."DETAILS" as details, r."IP_ADDRESS" as ip_address,
               r."CREATED_AT" as created_at, (j ->> 'op')::"char" as op, (j -> 'source' ->> 'scn')::bigint as scn,
               to_timestamp((j ->> 'ts_ms')::bigint / 1000.0) as source_ts
          from (select seq / @batch@ as batch, payload::jsonb -> 'payload' as j from baseline.staging
                 where topic like 'cdc/oracle/SALES/AUDIT_LOG/%' offset 0) as message,
               lateral jsonb_to_record(
                   case when jsonb_typeof(j -> 'after') = 'object' then j -> 'after' else j -> 'before' end) as r(
                   "LOG_ID" int, "ACTION" text, "ENTITY_TYPE" text, "ENTITY_ID" int, "USER_ID" text, "DETAILS" text,
                   "IP_ADDRESS" text, "CREATED_AT" timestamp)
         order by batch, r."LOG_ID", (j -> 'source' ->> 'scn')::bigint desc) as newest
 group by batch;
create unique index on unnest_limit.audit_log (batch);
