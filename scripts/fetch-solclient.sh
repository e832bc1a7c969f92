#!/usr/bin/env bash
# Puts Solace's C library at target/solclient/lib/libsolclient.so, out of the PyPI wheel `solace-pubsubplus`.
# The library has a licence of its own (Solace API License 1.1: free for applications that work with Solace products)
# and is never committed. With LIBSOLCLIENT set, e.g. to the one of Solace's own tarball, nothing is fetched.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

library=$root/target/solclient/lib/libsolclient.so
[ -z "${LIBSOLCLIENT:-}" ] || exit 0
[ ! -e "$library" ] || exit 0
if [ "$(uname -m)" != x86_64 ]; then
    say "no pinned libsolclient for $(uname -m): set LIBSOLCLIENT to the one of Solace's tarball; its tests are skipped"
    exit 0
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/pg_cdc_ods/solclient
wheels=("$cache"/solace_pubsubplus-*.whl)
if [ ! -e "${wheels[0]}" ]; then
    say "fetching libsolclient (Solace API License 1.1) out of the wheel solace-pubsubplus"
    mkdir -p "$cache"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$cache" \
        --requirement "$root/scripts/solclient-requirements.txt" ||
        fail "pip could not fetch the wheel: check the network, or set LIBSOLCLIENT to a libsolclient.so of your own"
    wheels=("$cache"/solace_pubsubplus-*.whl)
fi
mkdir -p "$(dirname "$library")"
python3 - "${wheels[0]}" "$library" <<'PYTHON'
import os, sys, zipfile
wheel, library = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    data = archive.read("solace/messaging/lib/linux-x86_64/libsolclient.so")
with open(library + ".part", "wb") as file:
    file.write(data)
os.rename(library + ".part", library)
PYTHON
