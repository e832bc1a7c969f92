-- Everything: upserts, overflow, XML, enrichment, windows, alerts. The documents of the alerts wait in the outbox: no
-- worker runs that would send them. The last call makes the enriched rows of what the tables held before, which is nothing.

create extension pg_cdc_ods;
select cdc.install_preset('ecommerce');
select cdc.endpoint('desk', 'http://127.0.0.1:9/alerts');
select cdc.install_preset_alerts('ecommerce', 'desk', amount => 4500);
select cdc.apply();
