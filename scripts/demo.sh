#!/usr/bin/env bash
# Builds everything and runs the demonstration. Environment: RATE (events a minute; 0 or max: as many as go), DURATION
# (seconds), SEED.
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
# In the background, so that this script is told of signals at once. A terminal sends Ctrl-C to both, so that is not
# passed on: a second one means something else. SIGTERM may have been sent to this script alone.
# If this script is killed, the demonstration is told to end, as this script is by `make`.
setpriv --pdeathsig TERM "$root/target/release/cdc-demo" "${options[@]}" &
demo=$!
trap interrupted=1 INT
trap 'interrupted=1; kill -TERM "$demo" 2>/dev/null || true' TERM HUP
while :; do
    interrupted= outcome=0
    wait "$demo" || outcome=$?
    # A signal ends the waiting; the demonstration then ends in order, and its own outcome is still to come.
    [ -n "$interrupted" ] || exit "$outcome"
done
