#!/usr/bin/env bash
# Builds everything in release and runs the benchmark. Environment: QUICK (1: done in minutes), SEED, ONLY (names of
# measures, with commas between them; all if empty), STORED_ORDERS (of the grown store; 2,000,000 if empty),
# PATHWAY_PYTHON (a Python that has Pathway; without it that is left out). Arguments are options of cdc-bench: --help tells
# them.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

"$root/scripts/setup.sh"
hold_run_root
"$root/scripts/build.sh" release cdc-bridge smf-loopback cdc-bench

options=(--seed "${SEED:-1}" --output "$root/target/bench/results.json")
[ "${QUICK:-0}" = 0 ] || options+=(--quick)
[ -z "${STORED_ORDERS:-}" ] || options+=(--stored-orders "$STORED_ORDERS")
[ -z "${PATHWAY_PYTHON:-}" ] || options+=(--pathway-python "$PATHWAY_PYTHON")
[ -z "${ONLY:-}" ] || options+=("$ONLY")

export PG_CDC_ODS_BIN_DIR PG_CDC_ODS_RUN_ROOT=$run_root LIBSOLCLIENT=$solclient_library
PG_CDC_ODS_BIN_DIR=$(private_bin)
# If this script is killed, the benchmark is told to end, as this script is by `make`.
setpriv --pdeathsig TERM "$root/target/release/cdc-bench" "${options[@]}" "$@"
