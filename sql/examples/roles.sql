-- Roles of an ODS: who owns the tables, who writes messages, who reads. Run it once, as a superuser, in the database:
--
--     psql -X -d ods -v ON_ERROR_STOP=1 -f sql/examples/roles.sql
--
-- The names are examples; cdc_admin, cdc_writer and cdc_reader are made by the extension, without login.

create extension if not exists pg_cdc_ods;

-- Owns the ODS tables and attaches sources to them. Rows are written with its rights, and with no others.
create role ods_owner nologin in role cdc_admin;
create schema ods authorization ods_owner;

-- The bridge: may put messages into the inbox, and may not read even those.
create role cdc_bridge login in role cdc_writer;

-- Whoever watches: may look at everything in schema cdc, dead letters with their payloads included.
create role ods_monitor login in role cdc_reader;

-- Whoever uses the data: the tables of the ODS, and nothing of the machinery.
create role ods_analyst login;
grant usage on schema ods to ods_analyst;
alter default privileges for role ods_owner in schema ods grant select on tables to ods_analyst;

set role ods_owner;
select cdc.install_preset('ecommerce', schema => 'ods');
reset role;

-- Its two views show dead letters, which are not for everybody.
revoke select on ods.cdc_dlq, ods.v_dlq_summary from ods_analyst;

-- Passwords do not belong into files: set them in psql with \password cdc_bridge, which sends only a hash.
