-- Everything: upserts, overflow, XML, enrichment, windows, alerts. Nobody listens at the endpoint, so the documents of the
-- alerts stay in the outbox; where a push worker runs, it gives up after a few attempts and is quiet.

create extension pg_cdc_ods;
select cdc.install_preset('ecommerce');
select cdc.endpoint('desk', 'http://127.0.0.1:9/alerts', breaker_open => '1 hour');
select cdc.install_preset_alerts('ecommerce', 'desk');

-- The enriched rows of what the tables held before, which is nothing.
select cdc.apply();
