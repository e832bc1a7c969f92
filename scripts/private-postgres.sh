#!/usr/bin/env bash
# Makes a private copy of the PostgreSQL installation, so that the extension is installed without touching the
# system's. PostgreSQL finds its folders relative to the real path of its executable: the programs are copied, all
# else is links, and only the folders of extensions and libraries are real.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
choose_run_root

prefix=$(private_prefix)
version=$("$pg_bin/postgres" --version)
if [ "$(cat "$prefix/version" 2>/dev/null)" != "$version" ]; then
    say "making a private copy of $version"
    rm -rf "$prefix"
    lib=/usr/lib/postgresql/$pg_version/lib share=/usr/share/postgresql/$pg_version
    mkdir -p "$prefix$pg_bin" "$prefix$lib" "$prefix$share/extension"
    cp "$pg_bin"/* "$prefix$pg_bin/"
    ln -s "$lib"/* "$prefix$lib/"
    find "$share" -mindepth 1 -maxdepth 1 ! -name extension -exec ln -s -t "$prefix$share" {} +
    ln -s "$share"/extension/* "$prefix$share/extension/"
    ln -s /usr/include "$prefix/usr/include"
    printf '%s' "$version" >"$prefix/version"
fi
if ! grep -qs "\"$(private_pg_config)\"" "$PGRX_HOME/config.toml"; then
    mkdir -p "$PGRX_HOME"
    cargo pgrx init --pg$pg_version "$(private_pg_config)" --no-run >/dev/null 2>&1 ||
        cargo pgrx init --pg$pg_version "$(private_pg_config)"
fi
