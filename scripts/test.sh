#!/usr/bin/env bash
# Runs the parts of the test suite named as arguments, all of them even if one fails, and sums up at the end.
set -uo pipefail
source "$(dirname "$0")/environment.sh"
choose_run_root
cd "$root" || exit 1

part_format() { cargo fmt --all --check; }
part_clippy() { cargo clippy --workspace --all-targets --features pg_cdc_ods/pg_test -- -D warnings; }
part_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps; }
part_unit() { cargo test --workspace --exclude pg_cdc_ods --exclude e2e; }
part_e2e() {
    cargo build -p cdc-bridge || return 1
    (cd pg_cdc_ods && cargo pgrx install --pg-config "$(private_pg_config)") || return
    PG_CDC_ODS_BIN_DIR=$(private_prefix)$pg_bin PG_CDC_ODS_BRIDGE=$root/target/debug/cdc-bridge cargo test -p e2e
}
part_pgtest() {
    local data=$run_root/pgtest
    rm -rf "$data"
    if [ "$(id -u)" = 0 ]; then
        install -d -o "$server_user" "$data"
        (cd pg_cdc_ods && cargo pgrx test "pg$pg_version" --runas "$server_user" --pgdata "$data")
    else
        (cd pg_cdc_ods && cargo pgrx test "pg$pg_version" --pgdata "$data")
    fi
    local outcome=$?
    rm -rf "$data"
    return $outcome
}

passed=0 failed=0 summary=
for part in "$@"; do
    say "$part"
    started=$SECONDS
    if "part_$part"; then outcome=passed passed=$((passed + 1)); else outcome=FAILED failed=$((failed + 1)); fi
    summary+=$(printf '%-10s %-7s %5d s' "$part" "$outcome" $((SECONDS - started)))$'\n'
done

# A copy outside the clone is there for this run only.
[ "$run_root" = "$root/target/run" ] || rm -rf "$run_root"

printf '\n%s\n%d passed, %d failed\n' "$summary" "$passed" "$failed"
[ "$failed" = 0 ]
