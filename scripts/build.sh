#!/usr/bin/env bash
# Builds the programs that work with a server and installs the extension into the private copy of PostgreSQL.
# usage: scripts/build.sh dev|release [PACKAGE...]: packages of programs, cdc-bridge if none is named
set -euo pipefail
source "$(dirname "$0")/environment.sh"

profile=${1:?name the profile: dev or release}
shift
packages=()
for package in "${@:-cdc-bridge}"; do packages+=(--package "$package"); done

cd "$root"
"$root/scripts/private-postgres.sh"
hold_run_root
say "building the programs ($profile)"
cargo build --profile "$profile" "${packages[@]}"
say "installing the extension ($profile) into the private copy of PostgreSQL"
cd pg_cdc_ods
unlink_library "$(private_bin)/pg_config"
cargo pgrx install --profile "$profile" --pg-config "$(private_bin)/pg_config"
