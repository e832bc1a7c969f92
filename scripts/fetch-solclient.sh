#!/usr/bin/env bash
# Puts Solace's C library at target/solclient/lib/libsolclient.so, out of the PyPI wheel `solace-pubsubplus`. It has a
# licence of its own (Solace API License 1.1: free for applications that work with Solace products) and is never
# committed. Nothing is fetched if LIBSOLCLIENT names a libsolclient.so, or SOLCLIENT_DIR the unpacked folder of
# Solace's own package.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

own_library=${LIBSOLCLIENT:-${SOLCLIENT_DIR:+$SOLCLIENT_DIR/lib/libsolclient.so}}
if [ -n "$own_library" ] && [ ! "$own_library" -ef "$solclient_library" ]; then
    [ -e "$own_library" ] || fail "there is no $own_library: check LIBSOLCLIENT and SOLCLIENT_DIR"
    mkdir -p "$(dirname "$solclient_library")"
    ln -sfn "$(realpath "$own_library")" "$solclient_library"
    exit 0
fi
[ ! -f "$solclient_library" ] || [ -L "$solclient_library" ] || exit 0

machine=$(uname -m)
wheels() { compgen -G "$cache/solclient/solace_pubsubplus-*_$machine.whl"; }
if ! wheels >/dev/null; then
    say "fetching libsolclient (Solace API License 1.1) out of the Python wheel solace-pubsubplus"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --dest "$cache/solclient" --requirement "$root/scripts/solclient-requirements.txt" ||
        fail "pip could not fetch the wheel: check the network, or set LIBSOLCLIENT to a libsolclient.so of your own"
fi
mkdir -p "$(dirname "$solclient_library")"
python3 - "$(wheels | head -n 1)" "linux-$machine" "$solclient_library" <<'PYTHON'
import os, sys, zipfile
wheel, platform, library = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    data = archive.read(f"solace/messaging/lib/{platform}/libsolclient.so")
with open(library + ".part", "wb") as file:
    file.write(data)
os.rename(library + ".part", library)
PYTHON
