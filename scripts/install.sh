#!/usr/bin/env bash
# Installs the extension into the system's PostgreSQL, which must be restarted to load it.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

"$root/scripts/private-postgres.sh"
options=(--release --pg-config "$system_bin/pg_config")
as_root=()
if [ "$(id -u)" != 0 ]; then
    options+=(--sudo)
    as_root=(sudo)
fi
unlink_library "$system_bin/pg_config" "${as_root[@]}"
cd "$root/pg_cdc_ods"
cargo pgrx install "${options[@]}"
say "now set shared_preload_libraries = 'pg_cdc_ods' in postgresql.conf and restart the server"
