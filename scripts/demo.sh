#!/usr/bin/env bash
# Builds everything and runs the demonstration. Environment: RATE (events a minute), DURATION (seconds), SEED.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

"$root/scripts/setup.sh"
hold_run_root
"$root/scripts/build.sh" release cdc-bridge smf-loopback cdc-demo

options=(--rate "${RATE:-5000}")
[ -z "${DURATION:-}" ] || options+=(--duration "$DURATION")
[ -z "${SEED:-}" ] || options+=(--seed "$SEED")

export PG_CDC_ODS_BIN_DIR PG_CDC_ODS_RUN_ROOT=$run_root LIBSOLCLIENT=$solclient_library
PG_CDC_ODS_BIN_DIR=$(private_bin)
# In the background, so that a signal to this script alone gets through too. The demonstration ends in order at the
# first one; a terminal's Ctrl-C reaches it directly, and once more is harmless.
"$root/target/release/cdc-demo" "${options[@]}" &
demo=$!
trap 'kill -TERM "$demo" 2>/dev/null' INT TERM HUP
outcome=0
wait "$demo" || outcome=$?
while kill -0 "$demo" 2>/dev/null; do
    outcome=0
    wait "$demo" || outcome=$?
done
exit "$outcome"
