#!/usr/bin/env bash
# Runs the parts of the test suite named as arguments, or all: each of them even if one fails, and a summary at the
# end. A part is a function below.
set -uo pipefail
source "$(dirname "$0")/environment.sh"
cd "$root" || exit 1

all_parts=(format clippy docs unit pgtest e2e solace)
# What a part returns that cannot run here; the number is automake's.
skipped_status=77

part_format() { cargo fmt --all --check; }

part_clippy() { cargo clippy --workspace --all-targets --features pg_cdc_ods/pg_test -- -D warnings; }

part_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps; }

# Without a server.
part_unit() { cargo test --workspace --exclude pg_cdc_ods --exclude e2e; }

# Inside a server that cargo-pgrx starts.
part_pgtest() {
    local data=$run_root/pgtest options=() outcome=0
    [ ! -e "$data" ] || rm -rf "$data"
    if [ "$(id -u)" = 0 ]; then
        install -d -o "$server_user" "$data"
        options=(--runas "$server_user")
    fi
    unlink_library "$(private_bin)/pg_config"
    (cd pg_cdc_ods && cargo pgrx test "pg$pg_version" "${options[@]}" --pgdata "$data") || outcome=$?
    rm -rf "$data"
    return "$outcome"
}

# With all the real pieces, around the loopback broker.
part_e2e() {
    "$root/scripts/build.sh" dev cdc-bridge smf-loopback || return
    local outcome=0
    # They wait more than they work.
    env -u SOLACE_TEST_HOST RUST_TEST_THREADS=8 cargo test --no-fail-fast -p e2e || outcome=$?
    cargo test -p cdc-demo --test whole || outcome=$?
    return "$outcome"
}

# The same around a real broker.
part_solace() {
    if [ -z "${SOLACE_TEST_HOST:-}" ]; then
        echo "skipped: SOLACE_TEST_HOST names no Solace broker"
        return "$skipped_status"
    fi
    "$root/scripts/build.sh" dev || return
    RUST_TEST_THREADS=8 cargo test -p e2e --test pipeline
}

run_part() {
    local part=$1 started=$SECONDS outcome status=0
    say "$part"
    "part_$part" || status=$?
    case $status in
        0) outcome=passed passed=$((passed + 1)) ;;
        "$skipped_status") outcome=skipped skipped=$((skipped + 1)) ;;
        *) outcome=FAILED failed=$((failed + 1)) ;;
    esac
    summary+=$(printf '%-8s %-8s %5d s' "$part" "$outcome" $((SECONDS - started)))$'\n'
}

[ "$#" -gt 0 ] || set -- "${all_parts[@]}"
for part in "$@"; do
    declare -F "part_$part" >/dev/null || fail "there is no part $part; the parts are: ${all_parts[*]}"
done
"$root/scripts/setup.sh" || exit
hold_run_root
"$root/scripts/private-postgres.sh" || exit

export PG_CDC_ODS_BIN_DIR PG_CDC_ODS_RUN_ROOT=$run_root LIBSOLCLIENT=$solclient_library
export PG_CDC_ODS_BRIDGE=$root/target/debug/cdc-bridge
PG_CDC_ODS_BIN_DIR=$(private_bin)

passed=0 failed=0 skipped=0 summary=
for part in "$@"; do run_part "$part"; done
printf '\n%s\n%d passed, %d failed, %d skipped\n' "$summary" "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
