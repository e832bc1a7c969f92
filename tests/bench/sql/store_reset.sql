-- Takes away what a round has written to a grown store, so that the next one finds it as the first did.

set session_replication_role = replica;
delete from cdc_orders where order_id < 1000000000;
delete from cdc_order_items where item_id < 1000000000;
delete from cdc_customers where customer_id < 1000000000;
delete from cdc_products where product_id < 1000000000;
delete from cdc_orders_enriched where order_id < 1000000000;
delete from cdc_order_aggregations where window_start >= '2025-06-01';
truncate cdc_audit_log, cdc_order_items_extracted, cdc_customer_addresses_extracted, cdc.tombstones,
         cdc.column_positions, cdc.stream_progress, cdc.dlq, cdc.outbox;
reset session_replication_role;
