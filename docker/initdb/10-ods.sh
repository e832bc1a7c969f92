#!/usr/bin/env bash
# Run once by the image's entrypoint, in the empty database: the extension, the e-commerce preset, and the bridge's
# role with the password that stands in BRIDGE_PASSWORD_FILE.
set -euo pipefail

psql -X -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v bridge_password="$(cat "$BRIDGE_PASSWORD_FILE")" <<'SQL'
create extension pg_cdc_ods;
create role cdc_bridge login password :'bridge_password' in role cdc_writer;
select cdc.install_preset('ecommerce');
SQL
