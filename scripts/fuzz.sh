#!/usr/bin/env bash
# Runs the property tests of cdc-core, those that nothing ever panics among them, over and over with new cases for
# DURATION seconds; optimised, with debug assertions and overflow checks. A case that fails ends the run. Proptest keeps it
# beside the test, in a file named after its source, from where every later run of the test tries it first.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
cd "$root"

duration=${DURATION:-600}
[[ $duration =~ ^[0-9]+$ ]] || fail "DURATION is a number of seconds, not '$duration'"
# Of each property in a round. A round is some seconds: the run ends at most one after DURATION.
round_cases=5000

tests=(--profile fuzz -p cdc-core --lib --test never_panics --test any_delivery)
cargo test "${tests[@]}" --no-run
rounds=0 started=$SECONDS
while [ $((SECONDS - started)) -lt "$duration" ]; do
    outcome=$(PROPTEST_CASES=$round_cases cargo test --quiet "${tests[@]}" 2>&1) || {
        printf '%s\n' "$outcome"
        fail "a case failed after $((SECONDS - started)) s; commit the file of proptest-regressions with the mend"
    }
    rounds=$((rounds + 1))
    say "$((rounds * round_cases)) cases of each property in $((SECONDS - started)) s"
done
