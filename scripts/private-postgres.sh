#!/usr/bin/env bash
# Makes a private copy of the PostgreSQL installation, so that the extension is installed without root and without
# touching the system's. PostgreSQL finds its folders relative to the real path of its executable: so the programs are
# copies, the folders that an extension is installed into are real, and all else is links. Done anew when the
# system's version or this script has changed.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
hold_run_root

prefix=$(private_prefix)
version=$("$system_bin/postgres" --version) || fail "there is no PostgreSQL $pg_version: run 'make setup'"
made_from="$version, $(sha256sum <"${BASH_SOURCE[0]}")"
if [ "$(cat "$prefix/made_from" 2>/dev/null)" != "$made_from" ]; then
    say "making a private copy of $version"
    rm -rf "$prefix"
    lib=/usr/lib/postgresql/$pg_version/lib share=/usr/share/postgresql/$pg_version
    mkdir -p "$prefix$system_bin" "$prefix$lib" "$prefix$share/extension"
    cp "$system_bin"/* "$prefix$system_bin/"
    ln -s "$lib"/* "$prefix$lib/"
    find "$share" -mindepth 1 -maxdepth 1 ! -name extension -exec ln -s -t "$prefix$share" {} +
    ln -s "$share"/extension/* "$prefix$share/extension/"
    ln -s /usr/include "$prefix/usr/include"
    # What the system may have of this extension must not be written through a link.
    rm -f "$prefix$lib/pg_cdc_ods.so" "$prefix$share"/extension/pg_cdc_ods*
    printf '%s' "$made_from" >"$prefix/made_from"
fi

# Written only if it changes, because pgrx builds anew when its time does.
if ! grep -qsF "\"$(private_bin)/pg_config\"" "$PGRX_HOME/config.toml"; then
    mkdir -p "$PGRX_HOME"
    outcome=$(cargo pgrx init "--pg$pg_version" "$(private_bin)/pg_config" --no-run 2>&1) ||
        fail "cargo pgrx init failed: $outcome"
fi
